"""The constants and the wide rounding of rotation (N14). The kernel's own test is `tests/ops/test_rotary.py`."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from ares.numerics import (
    NumericsError,
    plan_rotation,
    rotation_tables,
    round_half_even_shift,
    wide_round,
)

HALF = Fraction(1, 2)
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def turned(base: float, position: int, pair: int, head_dim: int) -> tuple[Fraction, Fraction]:
    """(cos, sin) of position * base ** (-2 pair / head_dim), from their series in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        speed = (Decimal(base).ln() * Decimal(-2 * pair) / Decimal(head_dim)).exp()
        angle = (position * speed) % (2 * PI)
        term, sums = Decimal(1), [Decimal(0)] * 2
        for n in range(90):
            sums[n % 2] += term if n % 4 < 2 else -term
            term = term * angle / (n + 1)
        return Fraction(sums[0]), Fraction(sums[1])


def test_the_tables_are_right_to_their_last_bit() -> None:
    cos, sin = rotation_tables(409, 12, 10000.0)
    for position in (0, 1, 2, 7, 59, 408):
        for pair in range(6):
            exact = turned(10000.0, position, pair, 12)
            for table, real in zip((cos, sin), exact, strict=True):
                assert abs(int(table[position, pair]) - real * 2**30) <= HALF + Fraction(1, 2**10)


def test_the_wide_product_is_rounded_as_a_big_integer() -> None:
    """Each case lies at a tie, one unit of the whole product beside it, or anywhere."""
    draw = np.random.Generator(np.random.PCG64(3))
    reached = set()
    for shift in (1, 2, 17, 28, 50):
        for multiplier in (1, 2**30, 2**31 - 1, 2**31 - 2**10, 3 * 2**29):
            acc = draw.integers(-(2**39) + 1, 2**39, 200)
            edge = 2 ** (shift + 31) // multiplier
            near = [n * edge + d for n in (-3, -1, 1, 3) for d in (-1, 0, 1)]
            near = [n for n in near if abs(n) < 2**39]
            acc = np.array([*acc.tolist(), *near, 0, -1, 1, -(2**38)])
            for zero_point in (0, -77, 128):
                found = wide_round(acc, multiplier, shift + 32, zero_point)
                for one, code in zip(acc.tolist(), found.tolist(), strict=True):
                    real = Fraction(one * multiplier, 2 ** (shift + 32)) + zero_point
                    assert code == round(real)
                    reached.add("tie" if real.denominator == 2 else "no tie")
                    reached.add("beside" if abs(real % 1 - HALF) == Fraction(1, 2**82) else "")
    assert {"tie", "no tie"} <= reached
    small = np.array([5, -5, 12345])
    assert wide_round(small << 32, 1, 35, 0).tolist() == round_half_even_shift(small, 3).tolist()


def test_a_scale_too_large_is_refused() -> None:
    with pytest.raises(NumericsError, match="too large"):
        plan_rotation(Fraction(2**29))
