"""Integers and roundings that all operations share."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any


def binary32(value: float) -> float:
    """The nearest number of binary32."""
    found: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return found


def half_even(value: Fraction) -> int:
    """The nearest integer, a tie to the even one."""
    return round(value)


def half_up(value: Fraction) -> int:
    """The nearest integer, a tie to the larger one."""
    return math.floor(value + Fraction(1, 2))


def half_down(value: Fraction) -> int:
    """The nearest integer, a tie to the smaller one."""
    return math.ceil(value - Fraction(1, 2))


def half_away(value: Fraction) -> int:
    """The nearest integer, a tie away from zero."""
    return half_up(value) if value >= 0 else -half_up(-value)


def half_to_zero(value: Fraction) -> int:
    """The nearest integer, a tie towards zero."""
    return half_down(value) if value >= 0 else -half_down(-value)


def wrapped(value: int, bits: int) -> int:
    """Two's complement in so many bits."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def saturated(value: int, bits: int) -> int:
    """The nearest number of so many bits."""
    return max(-(1 << (bits - 1)), min((1 << (bits - 1)) - 1, value))


def clamped(value: int, case: Mapping[str, Any]) -> int:
    """Within the codes of the output."""
    return max(case["lo"], min(case["hi"], value))


def wraps(value: int, case: Mapping[str, Any]) -> int:
    """A cast to 8 bits where a clamp should be."""
    return wrapped(value, 8) if case["lo"] < 0 else value & 255


def high_multiply(acc: int, multiplier: int) -> int:
    """gemmlowp's saturating rounding doubling high multiply: acc * multiplier / 2^31."""
    product = acc * multiplier
    nudged = product + (1 << 30 if product >= 0 else 1 - (1 << 30))
    quotient = abs(nudged) >> 31
    return saturated(quotient if nudged >= 0 else -quotient, 32)


def quantized_multiplier(ratio: Fraction) -> tuple[int, int]:
    """(M, e) with ratio ~ M / 2^31 * 2^e and 2^30 <= |M| < 2^31, as TensorFlow Lite plans it."""
    exponent = 0
    while abs(ratio) >= 1:
        ratio, exponent = ratio / 2, exponent + 1
    while ratio and abs(ratio) < Fraction(1, 2):
        ratio, exponent = ratio * 2, exponent - 1
    multiplier = half_away(ratio * 2**31)
    if abs(multiplier) == 2**31:
        multiplier, exponent = multiplier // 2, exponent + 1
    return multiplier, exponent
