"""The clauses of docs/numerics.md as formulas: what the runtime has to do, without a word of its code."""

from __future__ import annotations

from typing import Any

import z3

WIDTH = 64


def half_even(value: Any, shift: Any) -> Any:
    """N1: value / 2^shift rounded to nearest, a tie to the even one; bit-vectors of one width."""
    width = value.size()
    quotient = value >> shift
    rest = value - (quotient << shift)
    half = z3.BitVecVal(1, width) << (shift - 1)
    is_odd = z3.Extract(0, 0, quotient) == z3.BitVecVal(1, 1)
    up = z3.Or(z3.UGT(rest, half), z3.And(rest == half, is_odd))
    return z3.If(up, quotient + 1, quotient)


def clamp(value: Any, lo: Any, hi: Any) -> Any:
    """N4, signed."""
    return z3.If(value < lo, lo, z3.If(value > hi, hi, value))


def code(total: Any, shift: Any, lo: Any, hi: Any) -> Any:
    """N3 and N4 of a total of 64 bits, half of the divisor inside: 64 bits. `shift` has 64 bits, the limits 32."""
    half = z3.BitVecVal(1, WIDTH) << (shift - 1)
    limits = (z3.SignExt(32, limit) for limit in (lo, hi))
    return clamp(half_even(total - half, shift), *limits)


def in_contract(total: Any) -> Any:
    """|total| < 2^62 + 2^60, as numerics.h asks."""
    limit = z3.BitVecVal(2**62 + 2**60, WIDTH)
    return z3.And(total < limit, total > -limit)


def code_limits(lo: Any, hi: Any) -> Any:
    """lo <= hi, both of s8, or both of u8."""
    is_s8 = z3.And(lo >= -128, lo < 0, hi <= 127)
    return z3.And(lo <= hi, z3.Or(is_s8, z3.And(lo >= 0, hi <= 255)))
