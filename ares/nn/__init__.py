"""Layers for networks that ARES can turn into C: Brevitas' own, torch's own, and the missing ones.

A value is either *codes* (it left a quantiser) or *real* (it waits for one). Convolution, linear, add,
average pooling, mean, concatenation, norms and activations give real values; exactly one `QuantIdentity` or
`QuantReLU` follows before the next convolution, linear or add. The network's input goes through a
`QuantIdentity` first; a linear, a convolution or an average that comes last may stay unquantised and then gives floats.

Every custom layer takes `bit_width=8, return_quant_tensor=True` unless its docstring says otherwise,
and accepts a Tensor or a QuantTensor. A layer's docstring says its shapes, where its quantisers sit, and an example.

As Brevitas' own, layers with quantisers take `act_quant=`, layers with weights `weight_quant=`: a class such as
`brevitas.quant.Int8ActPerTensorFloat` or one derived from it. It brings its own bit width; a `bit_width` other than 8
overrides that. A layer of several steps has a quantiser of that class at each, unsigned where values never are
negative; a layer with one quantiser, on its result, also takes None, and the result is real.

Handed on as they are, with what ARES makes of them:

| name | shapes | quantiser |
|---|---|---|
| `QuantIdentity`, `QuantReLU` | any, kept | its own, on the result |
| `QuantConv2d` | [B, C, H, W] codes to [B, C', H', W'] real | its weights', none on the result |
| `QuantLinear` | [..., features] codes to [..., features'] real | its weights', none on the result |
| `GELU`, `SiLU` | any, kept; real | one follows |
| `LayerNorm` | [..., D] codes to [..., D] real | one follows |
| `GroupNorm` | [B, C, ...] codes to [B, C, ...] real | one follows |
| `AvgPool2d` | [B, C, H, W] codes to [B, C, H', W'] real | one follows |
| `AdaptiveAvgPool1d` | [B, C, T] codes to [B, C, T'] real | one follows |
| `MaxPool2d` | [B, C, H, W] to [B, C, H', W'] | none: codes stay codes |
| `ZeroPad2d` | [B, C, H, W] to [B, C, H + top + bottom, W + left + right] | none: codes stay codes |
| `Flatten` | [B, ...] to [B, all the rest] | none: codes stay codes |
| `Embedding` | [B, T] token ids to [B, T, D] real | one follows, whose scale the table takes |
"""

# Imports follow a call: versions that do not work must be named before their import fails.
# ruff: noqa: E402
from ares.versions import require_supported_versions

require_supported_versions()  # before the first import of torch or Brevitas

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch.nn import (
    GELU,
    AdaptiveAvgPool1d,
    AvgPool2d,
    Embedding,
    Flatten,
    MaxPool2d,
    SiLU,
    ZeroPad2d,
)

from ares.nn.activations import QuantSiLU
from ares.nn.attention import (
    QuantAlternatingAttention,
    QuantCrossAttention,
    QuantMHSA,
    QuantMultiHeadAttention,
    QuantRoPESelfAttention,
    QuantSelfAttention,
)
from ares.nn.batch_norm import fold_batch_norm
from ares.nn.blocks import ResidualBlock
from ares.nn.compatibility import check_compatibility
from ares.nn.embedding import PositionalEmbedding
from ares.nn.errors import MappingError
from ares.nn.joins import QuantAdd, QuantConcatenate, QuantMul
from ares.nn.layers import Conv2d, Linear, ReLU
from ares.nn.leaves.conv1d import QuantConv1dDepthwise
from ares.nn.mamba import QuantMambaBlock, QuantMambaWrapper, QuantSSM
from ares.nn.norms import GroupNorm, LayerNorm, RMSNorm
from ares.nn.patch_embed import QuantPatchEmbed
from ares.nn.pooling import GlobalAvgPool
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity
from ares.nn.reductions import QuantMean
from ares.nn.refinement import QuantCrossAttentionWithSelfRefine
from ares.nn.shapes import Permute, Reshape, Squeeze
from ares.nn.slices import Flip, Slice
from ares.nn.spectrum import RFFT, RFFTFeature, RFFTFeatures
from ares.nn.transformer import FeedForward, SwiGLU, TransformerBlock

PatchEmbed = QuantPatchEmbed

__all__ = [
    "DEFAULT_BIT_WIDTH",
    "GELU",
    "RFFT",
    "AdaptiveAvgPool1d",
    "AvgPool2d",
    "Conv2d",
    "Embedding",
    "FeedForward",
    "Flatten",
    "Flip",
    "GlobalAvgPool",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "MappingError",
    "MaxPool2d",
    "PatchEmbed",
    "Permute",
    "PositionalEmbedding",
    "QuantAdd",
    "QuantAlternatingAttention",
    "QuantConcatenate",
    "QuantConv1dDepthwise",
    "QuantConv2d",
    "QuantCrossAttention",
    "QuantCrossAttentionWithSelfRefine",
    "QuantIdentity",
    "QuantLinear",
    "QuantMHSA",
    "QuantMambaBlock",
    "QuantMambaWrapper",
    "QuantMean",
    "QuantMul",
    "QuantMultiHeadAttention",
    "QuantPatchEmbed",
    "QuantReLU",
    "QuantRoPESelfAttention",
    "QuantSSM",
    "QuantSelfAttention",
    "QuantSiLU",
    "RFFTFeature",
    "RFFTFeatures",
    "RMSNorm",
    "ReLU",
    "Reshape",
    "ResidualBlock",
    "SiLU",
    "Slice",
    "Squeeze",
    "SwiGLU",
    "TransformerBlock",
    "ZeroPad2d",
    "check_compatibility",
    "default_quant_identity",
    "fold_batch_norm",
]
