"""The names of ARES' custom layers, as models have always imported them. They live in `ares.nn`."""

from ares.nn import (
    RFFT,
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
