"""Results that stay real (N9), in Fractions: what the oracles of linear_fp32 and conv_fp32 share."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from tests.numerics import oracle
from tests.ops.convolving import draw_codes


def uniform(seed: int, size: int, lo: float, hi: float) -> npt.NDArray[np.float32]:
    """binary32 numbers between lo and hi."""
    share = draw_codes(seed, (size,), 0, 2**24, False) / 2**24
    return (lo + (hi - lo) * share).astype(np.float32)


def exact(value: np.float32) -> Fraction:
    return Fraction(float(value))


def roundings(acc: int, scale: Fraction, bias: Fraction | None) -> set[str]:
    """What a result puts to the test."""
    found = {"negative sum" if acc < 0 else "positive sum" if acc else "sum of zero"}
    found.add("negative scale" if scale < 0 else "positive scale" if scale else "product of zero")
    converted = oracle.to_binary32(Fraction(acc))
    assert isinstance(converted, Fraction)
    if converted != acc:
        found.add("conversion rounded")
        other = 2 * acc - converted
        if oracle.to_binary32(other) == other:
            found.add("tie of the conversion")
    product = oracle.to_binary32(converted * scale)
    assert isinstance(product, Fraction)
    if product != converted * scale:
        found.add("product rounded")
    elif converted == acc and bias is None:
        found.add("exact")
    if bias is not None and oracle.to_binary32(product + bias) != product + bias:
        found.add("sum rounded")
    return found
