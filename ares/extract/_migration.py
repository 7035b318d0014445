"""What to write instead of a layer or function that cannot be mapped: the specification's migration guide."""

from __future__ import annotations

import difflib

from ares.extract._registry import known_names

_OUTSIDE = (
    "outside the network: return what it is applied to, and apply it to the outputs on the host"
)

_ADVICE: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("BatchNorm1d", "BatchNorm2d", "SyncBatchNorm", "batch_norm"),
        "put a QuantIdentity before it, which makes it an operation on codes; or replace it with LayerNorm/GroupNorm",
    ),
    (
        ("BatchNorm3d",),
        "replace it with LayerNorm/GroupNorm or fold it into the previous affine layer; "
        "nn.BatchNorm2d of x.flatten(3) computes the same",
    ),
    (
        ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "instance_norm"),
        "use nn.GroupNorm with as many groups as channels, which is the same function",
    ),
    (
        ("MultiheadAttention", "QuantMultiheadAttention", "multi_head_attention_forward"),
        "use the custom QuantMultiHeadAttention implementation (ARES-compatible extraction points)",
    ),
    (
        ("scaled_dot_product_attention",),
        "use ares.nn.QuantMultiHeadAttention in place of the projections to q, k and v, of it, and of the projection "
        "behind it",
    ),
    (
        ("matmul", "bmm", "mm", "baddbmm", "einsum"),
        "with weights use a QuantLinear; products of two activations are those of ares.nn.QuantMultiHeadAttention and "
        "QuantCrossAttention",
    ),
    (
        (
            *("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
            *("QuantConvTranspose1d", "QuantConvTranspose2d", "QuantConvTranspose3d"),
        ),
        "restructure the network with supported operations (upsample + conv style decomposition): a QuantConv2d "
        "to stride x stride as many channels, then nn.PixelShuffle, as in docs/migration.md",
    ),
    (
        (
            *("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "interpolate"),
            *("QuantUpsample", "QuantUpsamplingNearest2d", "QuantUpsamplingBilinear2d"),
        ),
        "use a QuantConv2d to as many times the channels as there are new pixels, then nn.PixelShuffle, as in "
        "docs/migration.md",
    ),
    (
        ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell", "QuantLSTM", "QuantRNN"),
        "recurrent layers cannot be mapped: use convolutions, attention or a state-space block",
    ),
    (("Conv2d", "conv2d"), "use brevitas.nn.QuantConv2d, which has quantised weights"),
    (("Linear", "linear"), "use brevitas.nn.QuantLinear, which has quantised weights"),
    (("Conv1d", "QuantConv1d"), "use QuantConv2d on a tensor with a height of one"),
    (("QuantCat", "hstack", "dstack"), "use ares.nn.QuantConcatenate, or torch.cat with its dim"),
    (
        ("stack",),
        "give each part its new axis (x.unsqueeze(dim)), then use ares.nn.QuantConcatenate",
    ),
    (
        ("expand", "expand_as", "broadcast_to", "repeat", "tile"),
        "sums and products repeat axes of size 1 by themselves; anywhere else: torch.cat([x, x], dim)",
    ),
    (("roll",), "write it with slices: torch.cat([x[:, -n:], x[:, :-n]], 1)"),
    (
        ("index_select", "gather", "take", "take_along_dim"),
        "take parts of a tensor with slices (x[:, a:b]), chunk or split",
    ),
    (
        ("where", "masked_fill", "gt", "lt", "ge", "le", "eq", "ne"),
        "write it with clamp, F.relu, F.leaky_relu or the product with a constant mask",
    ),
    (("minimum", "maximum"), "of a tensor and a number: x.clamp(max=number), x.clamp(min=number)"),
    (("pow", "square"), "write the square as a product: x * x"),
    (("abs", "absolute"), "write F.leaky_relu(x, -1.0), which is the same function"),
    (("special_expit",), "use torch.sigmoid, which is the same function"),
    (
        ("RReLU", "rrelu"),
        "use nn.LeakyReLU with the slope (lower + upper) / 2, which it is in evaluation mode",
    ),
    (
        ("GLU", "glu"),
        "write it out: a, b = x.chunk(2, dim), then ares.nn.QuantMul()(a, quant(torch.sigmoid(b)))",
    ),
    (
        ("floor_divide",),
        "divide without rounding: the next quantiser rounds",
    ),
    (
        (
            *("amax", "max", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d"),
            *("adaptive_max_pool1d", "adaptive_max_pool2d"),
        ),
        "use nn.MaxPool2d, whose window may be the whole map",
    ),
    (
        (
            "log_softmax",
            "LogSoftmax",
            "Softmin",
            "softmin",
            "argmax",
            "argmin",
            "topk",
            "sort",
            "argsort",
        ),
        _OUTSIDE,
    ),
    (("__setitem__",), "build the tensor with torch.cat, nn.ZeroPad2d or a layer of its own"),
    (
        ("long", "int", "short", "char", "half", "bfloat16", "type", "bool"),
        "remove the conversion: what a layer hands on are real numbers, also of codes",
    ),
    (("max_pool2d_with_indices",), "use return_indices=False"),
    (
        ("ScriptMethod", "ScriptFunction"),
        "TorchScript shows nothing of its layers: give the nn.Module that was scripted or traced",
    ),
    (("TruncAvgPool2d",), "use torch.nn.AvgPool2d and a QuantIdentity after it"),
    (("TruncAdaptiveAvgPool2d",), "use torch.nn.AdaptiveAvgPool2d and a QuantIdentity after it"),
)


def advice(name: str) -> str:
    """What to do about an unsupported module class or function called `name`."""
    for names, text in _ADVICE:
        if name in names:
            return text
    near = difflib.get_close_matches(name, known_names(), n=3, cutoff=0.6)
    nearest = f"; nearest supported: {', '.join(near)}" if near else ""
    return f"see docs/supported_operations.md for what can be mapped{nearest}"
