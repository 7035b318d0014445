"""N10: several tensors added with one rounding."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import constant
from ares.numerics import INT32_MAX, NumericsError, Rescale, plan_weighted_sum
from tests.numerics.make_vectors import digest
from tests.numerics.oracle import S8, U8, clamp, nearest
from tests.numerics.vector_files import cases


def test_vectors() -> None:
    for (a0, a1, offset, shift, lo, hi, *signs), [(_, (expected,))] in cases("weighted_sum.txt"):
        empty = constant([], np.int32), constant([], np.int16)
        parts = constant([1], np.int32), constant([offset], np.int64), constant([shift], np.uint8)
        subject = Rescale(*parts, lo, hi, *empty)
        first, second = (np.arange(256) - 128 * is_signed for is_signed in signs)
        total = a0 * first[:, None] + a1 * second + offset
        assert digest(subject.finish(total, subject.shift).ravel().tolist()) == expected


def _check(
    ratios: list[Fraction], zero_points: list[int], zero_point: int, lo: int, hi: int
) -> Fraction:
    """Constants within limits and all pairs right; returns the largest distance from the exact sum."""
    coefficients, rescale = plan_weighted_sum(ratios, zero_points, zero_point, lo, hi)
    shift, offset = int(rescale.shift[0]), int(rescale.offset[0])
    assert max(coefficients) <= INT32_MAX
    assert 1 <= shift <= 61
    assert 255 * sum(coefficients) + (abs(zero_point) << shift) < 2**62
    limit = 255 * len(ratios) * Fraction(1, 2 ** (shift + 1))
    worst = Fraction(0)
    exact_ratios = all(r * 2**shift == a for r, a in zip(ratios, coefficients, strict=True))
    steps = range(-255, 256, 1 if exact_ratios else 15)
    for codes in ((q0, q1) for q0 in steps for q1 in steps):
        exact = (
            sum(r * (q - z) for r, q, z in zip(ratios, codes, zero_points, strict=True))
            + zero_point
        )
        if all(abs(q - z) <= 255 for q, z in zip(codes, zero_points, strict=True)):
            total = sum(a * q for a, q in zip(coefficients, codes, strict=True)) + offset
            distance = abs(Fraction(total, 2**shift) - exact)
            worst = max(worst, distance)
            assert distance <= limit
            if distance == 0 or abs(exact % 1 - Fraction(1, 2)) > limit:
                found = int(rescale.finish(np.array([total]), rescale.shift)[0])
                assert found == clamp(nearest(exact), lo, hi)
    return worst


def test_dyadic_ratios_are_exact() -> None:
    assert _check([Fraction(1, 2), Fraction(1, 4)], [1, -3], 5, *S8) == 0
    assert _check([Fraction(1, 2), Fraction(1, 2)], [0, 0], 0, *U8) == 0


@pytest.mark.parametrize("seed", range(12))
def test_any_ratios_are_close(seed: int) -> None:
    draw = random.Random(seed)
    ratios = [Fraction(draw.randrange(1, 2**24), 2 ** draw.randrange(20, 30)) for _ in range(2)]
    lo, hi = draw.choice((S8, U8))
    zero_points = [draw.randint(-128, 127), draw.randint(0, 255)]
    assert _check(ratios, zero_points, draw.randint(lo, hi), lo, hi) < Fraction(max(ratios), 2**20)


@pytest.mark.parametrize("log2", [20, 28, 30, 40, 60])
def test_tiny_ratios_leave_room_for_the_zero_point(log2: int) -> None:
    # 255 << 60 is past int64: the zero point limits the shift too.
    ratio = Fraction(3, 2**log2)
    _check([ratio, ratio / 5], [0, 7], 255, *U8)
    _check([ratio, ratio], [-128, 7], -128, *S8)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(NumericsError, match="too large"):
        plan_weighted_sum([Fraction(2**31), Fraction(1)], [0, 0], 0, *S8)
    with pytest.raises(NumericsError, match="positive"):
        plan_weighted_sum([Fraction(1), Fraction(-1)], [0, 0], 0, *S8)
