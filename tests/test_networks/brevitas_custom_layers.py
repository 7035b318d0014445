"""The names of ARES' custom layers, as models have always imported them. They live in `ares.nn`."""

from ares.nn import (
    Permute,
    QuantAdd,
    QuantConcatenate,
    QuantMean,
    Reshape,
    ResidualBlock,
    Squeeze,
)

__all__ = [
    "Permute",
    "QuantAdd",
    "QuantConcatenate",
    "QuantMean",
    "Reshape",
    "ResidualBlock",
    "Squeeze",
]
