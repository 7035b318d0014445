"""What to write instead of a layer or function that cannot be mapped: the specification's migration guide."""

from __future__ import annotations

import difflib

from ares.extract._registry import known_names

_ADVICE: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "batch_norm"),
        "fold it into the layer before it: model = ares.nn.fold_batch_norm(model), "
        "or replace it with LayerNorm/GroupNorm",
    ),
    (
        ("MultiheadAttention", "QuantMultiheadAttention", "scaled_dot_product_attention"),
        "use the custom QuantMultiHeadAttention implementation (ARES-compatible extraction points)",
    ),
    (
        (
            *("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
            *("QuantConvTranspose1d", "QuantConvTranspose2d", "QuantConvTranspose3d"),
        ),
        "restructure the network with supported operations (upsample + conv style decomposition): a QuantConv2d "
        "to stride x stride as many channels, then ares.nn.Reshape and Permute, as in docs/migration.md",
    ),
    (
        ("PixelShuffle", "pixel_shuffle"),
        "use ares.nn.Reshape, Permute and Reshape, as in docs/migration.md",
    ),
    (
        (
            *("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d", "interpolate"),
            *("QuantUpsample", "QuantUpsamplingNearest2d", "QuantUpsamplingBilinear2d"),
        ),
        "use a QuantConv2d to as many times the channels as there are new pixels, then ares.nn.Reshape and "
        "Permute, as in docs/migration.md",
    ),
    (
        ("LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell", "QuantLSTM", "QuantRNN"),
        "recurrent layers cannot be mapped: use convolutions, attention or a state-space block",
    ),
    (("Conv2d", "conv2d"), "use brevitas.nn.QuantConv2d, which has quantised weights"),
    (("Linear", "linear"), "use brevitas.nn.QuantLinear, which has quantised weights"),
    (("Conv1d", "QuantConv1d"), "use QuantConv2d on a tensor with a height of one"),
    (("iadd", "QuantEltwiseAdd"), "use ares.nn.QuantAdd"),
    (("QuantCat", "stack", "hstack", "vstack"), "use ares.nn.QuantConcatenate"),
    (
        ("sub", "rsub", "neg"),
        "use ares.nn.QuantAdd, and negate the weights of the layer before the subtrahend; of the network's "
        "input: do it before the network",
    ),
    (
        ("div",),
        "multiply by the inverse (x * 0.5), or fold the factor into the weights of the layer before or after "
        "it; of the network's input: do it before the network",
    ),
    (
        ("index_select", "gather", "take", "masked_fill", "where"),
        "take parts of a tensor with slices (x[:, a:b]), chunk or split",
    ),
    (
        ("QuantHardTanh", "ReLU6", "Hardtanh", "Hardsigmoid", "Mish", "SELU", "CELU", "PReLU"),
        "use QuantReLU, QuantIdentity, GELU, SiLU, ELU, LeakyReLU, Hardswish, Softplus, Sigmoid or Tanh",
    ),
    (
        ("clamp", "clamp_", "clamp_min", "clamp_max", "clip", "hardtanh", "relu6"),
        "use QuantReLU or QuantIdentity, whose range of codes clips",
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
    (("sum",), "use ares.nn.QuantMean, and scale in the layer after it"),
)


def advice(name: str) -> str:
    """What to do about an unsupported module class or function called `name`."""
    for names, text in _ADVICE:
        if name in names:
            return text
    near = difflib.get_close_matches(name, known_names(), n=3, cutoff=0.6)
    nearest = f"; nearest supported: {', '.join(near)}" if near else ""
    return f"see docs/supported_operations.md for what can be mapped{nearest}"
