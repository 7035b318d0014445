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
        ("MultiheadAttention", "multi_head_attention_forward"),
        "use brevitas.nn.QuantMultiheadAttention, which takes its weights, or the custom QuantMultiHeadAttention "
        "implementation (ARES-compatible extraction points)",
    ),
    (
        ("scaled_dot_product_attention",),
        "write it out: quant_context(quant_weights((q @ k.transpose(-2, -1) / math.sqrt(d)).softmax(-1)) @ v), with "
        "quant_weights unsigned, as in docs/migration.md",
    ),
    (
        ("mm",),
        "with weights use a QuantLinear; of two activations [batch, rows, columns] use torch.bmm or @",
    ),
    (
        ("view_as_complex", "view_as_real", "polar"),
        "write the rotation with real numbers: x * cos + rotate_half(x) * sin, as in docs/migration.md",
    ),
    (
        ("ConvTranspose1d", "conv_transpose1d"),
        "use brevitas.nn.QuantConvTranspose1d, which has quantised weights",
    ),
    (
        ("ConvTranspose2d", "conv_transpose2d"),
        "use brevitas.nn.QuantConvTranspose2d, which has quantised weights",
    ),
    (
        ("CircularPad2d",),
        "use torch.nn.functional.pad(x, padding, mode='circular'), which is the same function",
    ),
    (
        ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell", "QuantLSTM", "QuantRNN"),
        "recurrent layers cannot be mapped: use convolutions, attention or a state-space block",
    ),
    (("Conv2d", "conv2d"), "use brevitas.nn.QuantConv2d, which has quantised weights"),
    (("Linear", "linear"), "use brevitas.nn.QuantLinear, which has quantised weights"),
    (("Conv1d", "conv1d"), "use brevitas.nn.QuantConv1d, which has quantised weights"),
    (("QuantCat", "hstack", "dstack"), "use ares.nn.QuantConcatenate, or torch.cat with its dim"),
    (
        ("index_select", "gather", "take", "take_along_dim"),
        "take parts of a tensor with slices (x[:, a:b]), chunk or split",
    ),
    (
        ("gt", "lt", "ge", "le", "eq", "ne"),
        "write it with clamp, F.relu, F.leaky_relu or the product with a constant mask",
    ),
    (("minimum", "maximum"), "of a tensor and a number: x.clamp(max=number), x.clamp(min=number)"),
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
        ("short", "char", "half", "bfloat16", "bool"),
        "remove the conversion: what a layer hands on are real numbers, also of codes",
    ),
    (
        (
            *("max_pool1d_with_indices", "max_pool2d_with_indices"),
            *("adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices"),
        ),
        "use return_indices=False",
    ),
    (
        ("ScriptMethod", "ScriptFunction"),
        "TorchScript shows nothing of its layers: give the nn.Module that was scripted or traced",
    ),
)


def advice(name: str) -> str:
    """What to do about an unsupported module class or function called `name`."""
    for names, text in _ADVICE:
        if name in names:
            return text
    near = difflib.get_close_matches(name, known_names(), n=3, cutoff=0.6)
    nearest = f"; nearest supported: {', '.join(near)}" if near else ""
    return f"see docs/supported_operations.md for what can be mapped{nearest}"
