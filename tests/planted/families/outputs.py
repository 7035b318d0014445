"""Linear layers, what stays real, and the quantiser of the input."""

from tests.planted.faults import in_c, in_graph, in_lowering, in_plan

REAL = "real_output.h"
SUM = """    float value = ares_nearest_float(acc);
    value = value * scale[o];
    if (bias != NULL) {
        value = value + bias[o];
    }
    return value;"""

FAULTS = (
    in_c(
        "linear/last-tokens",
        "the tokens behind the last whole tile are left out",
        "llama block.attn.q",
        "linear.c",
        "t < p->tokens; t += ARES_TILE_ROWS",
        "t + ARES_TILE_ROWS <= p->tokens; t += ARES_TILE_ROWS",
    ),
    in_c(
        "linear/panel-pitch",
        "panels are as long as the features, not filled up to four",
        "vit attention.in_proj.q",
        "linear.c",
        "p->weight + n * tokens.length",
        "p->weight + n * p->in_features",
    ),
    in_c(
        "linear/output-pitch",
        "rows of the output are as long as a panel",
        "llama block.attn.q",
        "linear.c",
        "rows, width, out + n, p->out_features);",
        "rows, width, out + n, ARES_PANEL_WIDTH);",
    ),
    in_c(
        "linear/input-pitch",
        "tokens are as far apart as what goes out",
        "luna up",
        "linear.c",
        "in += rows * p->in_features;",
        "in += rows * (p->in_features - 1);",
    ),
    # 12 features of `embed` are read in place: the first layer with 18 is the queries'.
    in_c(
        "linear/last-features",
        "the features behind a multiple of four are left out",
        "vit attention.in_proj.q",
        "token_rows.h",
        "memcpy(copy, in + r * step, (size_t)features);",
        "memcpy(copy, in + r * step, (size_t)(features / 4 * 4));",
    ),
    in_c(
        "linear/row-of-a-tile",
        "a row of a tile is copied over the one before",
        "vit attention.in_proj.q",
        "token_rows.h",
        "uint8_t *const copy = scratch + r * tokens->length;",
        "uint8_t *const copy = scratch + 0 * r * tokens->length;",
    ),
    in_c(
        "linear/lanes",
        "four channels get the sums of four others",
        "luna cross.q",
        "micro_vectors.c",
        "memcpy(acc + n1, &sum1, sizeof sum1);",
        "memcpy(acc + n1, &sum0, sizeof sum0);",
    ),
    in_plan(
        "linear/signed", "u8 codes are read as s8", "cnn fc2", ("params.input_signed", "set", 1)
    ),
    in_plan(
        "linear/weights-of-another",
        "the weights of another layer",
        "llama block.mlp.gate",
        ("params.weight", "like", "block.mlp.up", "params.weight"),
    ),
    in_lowering(
        "linear/weight-transposed",
        "the weight of a square layer is transposed",
        "luna cross.v",
        ("weight", "transposed"),
    ),
    in_lowering(
        "linear/zero-point",
        "the input's zero point is left out of the offset",
        "text attention.q",
        ("@tensor norm", "zero_point", "set", 118),
    ),
    in_graph(
        "linear/features-permuted",
        "features in the order of the image, not of flatten",
        "cnn fc1",
        ("weight", "rolled", 16, 1),
    ),
    in_graph(
        "linear/bias-of-another-scale",
        "a bias in units of the input",
        "cnn fc1",
        ("rescale.offset", "product", 2),
    ),
    in_graph(
        "linear/last-bias", "the last bias is left out", "cnn fc1", ("rescale.offset", "put", 17, 0)
    ),
    in_graph(
        "linear/flatten-in-memory-order",
        "features in the order in which the C holds them",
        "cnn fc1",
        ("weight", "memory order", 16, 2, 2),
    ),
    in_c(
        "real/bias-first",
        "the bias is added before the scale",
        "cnn fc2",
        REAL,
        SUM,
        "    const float value = ares_nearest_float(acc) + (bias != NULL ? bias[o] : 0.0f);\n"
        "    return value * scale[o];",
    ),
    in_c(
        "real/fused",
        "product and sum rounded once, as a fused multiply-add has it",
        "maps classes",
        REAL,
        SUM,
        "    const double value = (double)acc * scale[o];\n    return (float)(bias != NULL ? value + bias[o] : value);",
    ),
    in_c(
        "real/accumulator-of-24-bits",
        "the accumulator is cut to 16 bits",
        "maps classes",
        REAL,
        "const float high = (float)(acc & ~(int32_t)0xffff);",
        "const float high = acc < 0 ? (float)(acc & ~(int32_t)0xffff) : 0.0f;",
    ),
    in_c(
        "real/channel-0",
        "all channels have the first bias",
        "maps classes",
        "conv_fp32.c",
        "p->scale, p->bias, o + n)",
        "p->scale, p->bias, 0 * (o + n))",
    ),
    in_c(
        "real/stride",
        "results of a convolution are not strided",
        "maps classes",
        "convolution.c",
        "positions[waiting].x = across.origin + j * window->columns->dilation;",
        "positions[waiting].x = across.origin + j * window->columns->dilation + (across.origin > 0);",
    ),
    in_c(
        "real/last-token",
        "the last token's results are left as they were",
        "cnn fc2",
        "linear_fp32.c",
        "t < p->tokens; ",
        "t + 1 < p->tokens; ",
    ),
    in_plan(
        "real/decimal-scale",
        "a scale printed with six digits",
        "cnn fc2",
        ("params.scale", "decimal", 6),
    ),
    in_plan(
        "real/scale-of-channel-0",
        "all channels have the first scale",
        "maps classes",
        ("params.scale", "first"),
    ),
    in_plan("real/bias-order", "biases in the other order", "cnn fc2", ("params.bias", "reversed")),
    in_graph("real/bias-dropped", "the logits' bias is left out", "cnn fc2", ("bias", "zero")),
    in_graph(
        "real/scale-of-weights-alone",
        "the logits' scale is not multiplied by the input's",
        "cnn fc2",
        ("scale", "product", 2),
    ),
    in_graph(
        "real/weight",
        "one weight of the last layer is off by one",
        "llama fc",
        ("weight", "at", (3, 5), 1),
    ),
    in_c(
        "quantise/cut",
        "cut toward zero in place of rounded",
        "residual quant_in",
        "quantize_f32.c",
        "return whole - 1;",
        "return whole;",
    ),
    in_c(
        "quantise/half-away",
        "ties go away from zero, as C's roundf has it",
        "probe quant_in",
        "quantize_f32.c",
        "(is_odd && rest == 0.5f)",
        "((is_odd || 1) && rest == 0.5f)",
    ),
    in_c(
        "quantise/zero-point-after",
        "the zero point is added to what was rounded",
        "probe quant_in",
        "quantize_f32.c",
        "const float shifted = quotient + zero_point;",
        "const float near = quotient > 999.0f ? 999.0f : quotient < -999.0f ? -999.0f : quotient;\n"
        "    const float shifted = (float)nearest_even(near) + zero_point;",
    ),
    in_c(
        "quantise/no-upper-clamp",
        "what is too large wraps",
        "cnn quant_in",
        "quantize_f32.c",
        "if (shifted >= hi) {\n        return p->hi;",
        "if (shifted >= hi) {\n        return shifted < 1e6f ? (int32_t)shifted : p->hi;",
    ),
    in_c(
        "quantise/reciprocal",
        "times the reciprocal of the scale",
        "cnn quant_in",
        "quantize_f32.c",
        "const float quotient = x / p->scale;",
        "const float reciprocal = 1.0f / p->scale;\n    const float quotient = x * reciprocal;",
    ),
    in_plan(
        "quantise/last-element",
        "the last element of the input is left out",
        "cnn quant_in",
        ("params.elements", "plus", -1),
    ),
    in_plan(
        "quantise/scale-of-12-bits",
        "a scale with four digits",
        "cnn quant_in",
        ("params.scale", "decimal scalar", 4),
    ),
    in_plan(
        "quantise/zero-point",
        "the zero point is one less",
        "cnn quant_in",
        ("params.zero_point", "plus", -1),
    ),
)
