"""The names of ARES' custom layers, as models have always imported them. They live in `ares.nn`."""

from ares.nn import (
    RFFT,
    Permute,
    QuantAdd,
    QuantAlternatingAttention,
    QuantConcatenate,
    QuantConv1dDepthwise,
    QuantCrossAttention,
    QuantMambaBlock,
    QuantMambaWrapper,
    QuantMean,
    QuantMHSA,
    QuantMul,
    QuantMultiHeadAttention,
    QuantPatchEmbed,
    QuantRoPESelfAttention,
    QuantSelfAttention,
    QuantSiLU,
    QuantSSM,
    Reshape,
    ResidualBlock,
    RFFTFeature,
    RFFTFeatures,
    RMSNorm,
    Squeeze,
)

__all__ = [
    "RFFT",
    "RFFTFeature",
    "RFFTFeatures",
    "RMSNorm",
    "Reshape",
    "ResidualBlock",
    "Squeeze",
]
