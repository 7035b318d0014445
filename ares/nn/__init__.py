"""Layers for networks that ARES can turn into C: Brevitas' own, torch's own, and the missing ones.

A value is either *codes* (it left a quantiser) or *real* (it waits for one). Convolution, linear, add,
average pooling, mean, concatenation and GELU give real values; exactly one `QuantIdentity` or
`QuantReLU` follows before the next convolution, linear or add. The network's input goes through a
`QuantIdentity` first; the last linear may stay unquantised and then gives float logits.

Every custom layer takes `bit_width=8, return_quant_tensor=True` unless its docstring says otherwise,
and accepts a Tensor or a QuantTensor.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch.nn import GELU, AvgPool2d, Flatten, MaxPool2d, ZeroPad2d

from ares.nn.batch_norm import fold_batch_norm
from ares.nn.blocks import ResidualBlock
from ares.nn.joins import QuantAdd, QuantConcatenate
from ares.nn.layers import Conv2d, Linear, ReLU
from ares.nn.pooling import GlobalAvgPool
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity
from ares.nn.reductions import QuantMean
from ares.nn.shapes import Permute, Reshape, Squeeze

__all__ = [
    "DEFAULT_BIT_WIDTH",
    "GELU",
    "AvgPool2d",
    "Conv2d",
    "Flatten",
    "GlobalAvgPool",
    "Linear",
    "MaxPool2d",
    "Permute",
    "QuantAdd",
    "QuantConcatenate",
    "QuantConv2d",
    "QuantIdentity",
    "QuantLinear",
    "QuantMean",
    "QuantReLU",
    "ReLU",
    "Reshape",
    "ResidualBlock",
    "Squeeze",
    "ZeroPad2d",
    "default_quant_identity",
    "fold_batch_norm",
]
