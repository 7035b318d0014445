"""The DFT with decimals of 60 digits: own series for pi, cosine, sine and arc tangent, no code of ares."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, getcontext
from fractions import Fraction
from functools import cache
from typing import Any

DIGITS = 60
getcontext().prec = DIGITS
_SMALL = Decimal(10) ** -(DIGITS + 5)


def _arctan(x: Decimal) -> Decimal:
    """For |x| <= 1: halved until small, then the series."""
    halvings = 0
    while abs(x) > Decimal("0.05"):
        x = x / (1 + (1 + x * x).sqrt())
        halvings += 1
    total, power, n = Decimal(0), x, 1
    while abs(power) > _SMALL:
        total += power / n if n % 4 == 1 else -power / n
        power *= x * x
        n += 2
    return total * 2**halvings


PI = 4 * _arctan(Decimal(1))


@cache
def circle(turn: Fraction) -> tuple[Decimal, Decimal]:
    """(cos, sin) of 2 pi * turn."""
    x = 2 * PI * turn.numerator / turn.denominator
    if turn == 0:
        return Decimal(1), Decimal(0)
    parts = [Decimal(0), Decimal(0)]
    term, n = Decimal(1), 0
    while abs(term) > _SMALL or n < 8:
        parts[n % 2] += term if n % 4 < 2 else -term
        n += 1
        term *= x / n
    return parts[0], parts[1]


def angle(y: Decimal, x: Decimal) -> Decimal:
    """atan2."""
    if x == 0 and y == 0:
        return Decimal(0)
    if abs(y) <= abs(x):
        found = _arctan(y / x)
        if x > 0:
            return found
        return found + PI if y >= 0 else found - PI
    quarter = PI / 2 if y > 0 else -PI / 2
    return quarter - _arctan(x / y)


def bin_of(row: Sequence[Any], k: int) -> tuple[Decimal, Decimal]:
    """Real and imaginary part of bin k of a row of integers, with ideal cosines."""
    length, re, im = len(row), Decimal(0), Decimal(0)
    for n, x in enumerate(row):
        c, s = circle(Fraction(n * k % length, length))
        re += int(x) * c
        im -= int(x) * s
    return re, im


def rounded_bin(row: Sequence[Any], k: int) -> tuple[int, int]:
    """The same with cosines rounded to 30 bits, in units of 2**-30: the definition of N16."""
    length, re, im = len(row), 0, 0
    for n, x in enumerate(row):
        c, s = rounded_circle(n * k % length, length)
        re += int(x) * c
        im -= int(x) * s
    return re, im


@cache
def rounded_circle(j: int, length: int) -> tuple[int, int]:
    c, s = circle(Fraction(j, length))
    return nearest(c * 2**30), nearest(s * 2**30)


def nearest(value: Decimal) -> int:
    return int(value.to_integral_value(rounding=ROUND_HALF_EVEN))
