"""Arena, scratch, tables, packing and byte order: what planner, emitter and executor get wrong."""

from tests.planted.faults import in_c, in_plan

FAULTS = (
    in_plan(
        "arena/over-its-input",
        "a layer's output lies on its input",
        "cnn conv2",
        ("@tensor conv2", "position", "like", "tensor pool", "position"),
    ),
    in_plan(
        "arena/lifetime-too-short",
        "what is needed later is written over",
        "residual mirror",
        ("@tensor mul", "position", "like", "tensor add", "position"),
    ),
    in_plan(
        "arena/scratch-on-output",
        "scratch lies where the output is made",
        "cnn conv1",
        ("scratch", "like", "tensor conv1", "position"),
    ),
    in_plan(
        "arena/scratch-on-input",
        "scratch lies on the input",
        "vit embed",
        ("scratch", "set", 0),
        ("@tensor quant_in", "position", "set", 0),
    ),
    in_plan(
        "arena/one-byte-early",
        "the next layer reads one byte too early",
        "cnn conv2",
        ("inputs", "set", ("conv1",)),
    ),
    in_plan(
        "arena/order-of-calls",
        "scores are computed before the keys are rotated",
        "llama block.attn.scores",
        ("@", "steps", "later", "block.attn.k_rotated", 1),
    ),
    in_plan(
        "arena/call-twice",
        "a kernel runs where another should",
        "llama block.mlp.up",
        ("call", "like", "block.mlp.gate", "call"),
    ),
    in_plan(
        "arena/wrong-source",
        "a layer reads the layer before the last",
        "llama block.mlp.down",
        ("inputs", "set", ("block.mlp.up",)),
    ),
    in_c(
        "executor/scratch-at-0",
        "all scratch lies at the start of the arena",
        "cnn conv1",
        "executor.c",
        "run->arena + layer->scratch",
        "run->arena + 0 * layer->scratch",
    ),
    in_c(
        "executor/second-operand",
        "the second operand is the first",
        "residual add",
        "executor.c",
        "operands[k] = readable(run, &tensors[layer->inputs[k]]);",
        "operands[k] = readable(run, &tensors[layer->inputs[k > 0 ? k - 1 : 0]]);",
    ),
    # A constant is a line of the trace itself, in front of who reads it.
    in_c(
        "executor/input-0",
        "constants are read from the arena",
        "vit cat",
        "executor.c",
        "        return tensor->data;",
        "        return run->arena + tensor->position;",
    ),
    in_plan(
        "packing/rolled",
        "a byte of padding is in front of the weights",
        "cnn conv2",
        ("params.conv.weight", "rolled"),
    ),
    in_plan(
        "packing/panel-reversed",
        "the codes of a word of four in the other order",
        "cnn pointwise",
        ("params.conv.weight", "words reversed"),
    ),
    in_plan(
        "packing/last-zero",
        "the last panel is not packed",
        "cnn conv1",
        ("params.conv.weight", "end zero", 112),
    ),
    in_plan(
        "packing/panels-exchanged",
        "two panels exchanged",
        "luna cross.k",
        ("params.weight", "rolled", 64),
    ),
    in_plan(
        "packing/row-major",
        "weights as the framework has them, not in panels",
        "luna cross.k",
        ("params.weight", "row major", 16, 16),
    ),
    in_plan(
        "packing/one-bit",
        "a bit of a weight",
        "llama block.attn.proj",
        ("params.weight", "at", 77, 1),
    ),
    in_plan(
        "byte-order/multipliers",
        "multipliers with their bytes turned round",
        "cnn conv2",
        ("params.rescale.multiplier", "byte order"),
    ),
    in_plan(
        "byte-order/offsets",
        "offsets with their bytes turned round",
        "cnn conv2",
        ("params.rescale.offset", "byte order"),
    ),
    in_plan(
        "byte-order/cosines",
        "cosines with their bytes turned round",
        "luna spectrum.magnitude",
        ("params.cosine", "byte order"),
    ),
    in_plan(
        "byte-order/thresholds",
        "thresholds with their bytes turned round",
        "vit up",
        ("params.rescale.steps.0.thresholds", "byte order"),
    ),
    in_plan(
        "byte-order/floats",
        "scales with their bytes turned round",
        "maps classes",
        ("params.bias", "byte order"),
    ),
    in_c(
        "byte-order/column-sums",
        "pairs of sums are taken for those of a big-endian processor",
        "cnn average",
        "column_sums.h",
        "const int32_t even = is_little ? 0 : 2;",
        "const int32_t even = is_little ? 2 : 0;",
    ),
    in_plan(
        "layout/channels-first",
        "a copy to channels last is left out: the order of the input",
        "cnn flatten",
        ("params.strides", "put", 0, 4),
        ("params.strides", "put", 1, 1),
    ),
    # Copies that the planner puts in front of a layer are the layer's: the report names who reads them.
    in_plan(
        "layout/heads",
        "the copy of the keys has heads and tokens in the order of memory",
        "vit attention.weights",
        ("@attention.k_transposed@0132", "params.strides", "exchanged", 0, 1),
    ),
    in_plan(
        "layout/last-head",
        "the copy of the queries leaves out the last head",
        "vit attention.weights",
        ("@attention.q_heads@0123", "params.dims", "at", 0, -1),
    ),
    in_plan(
        "tables/parts",
        "a concatenation knows one part",
        "luna spectrum.join",
        ("params.num_parts", "set", 1),
    ),
    in_plan(
        "tables/out-features",
        "a layer makes one output less",
        "cnn fc1",
        ("params.out_features", "plus", -1),
    ),
    in_plan(
        "tables/tokens",
        "a layer makes one token less",
        "llama block.attn.k",
        ("params.tokens", "plus", -1),
    ),
    in_plan(
        "tables/channels", "a sum of one element less", "mamba add", ("params.count", "plus", -1)
    ),
    in_plan(
        "tables/causal",
        "the flag of the mask is lost",
        "llama block.attn.weights",
        ("params.causal", "set", 0),
    ),
    in_plan(
        "tables/keys",
        "softmax over one key less",
        "luna cross.weights",
        ("params.exponents", "rolled", 1),
    ),
    in_plan(
        "tables/order-of-fields",
        "stride and dilation exchanged in a struct",
        "cnn conv1",
        ("params.conv.down.stride", "set", 1),
        ("params.conv.down.dilation", "set", 2),
    ),
)
