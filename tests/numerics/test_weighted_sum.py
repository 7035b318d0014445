"""N10: several tensors added with one rounding."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import constant
from ares.numerics import INT32_MAX, NumericsError, Rescale, plan_weighted_sum
from tests.numerics.make_vectors import digest
from tests.numerics.oracle import S8, U8, clamp, half_even
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
    ratios: list[Fraction],
    zero_points: list[int],
    zero_point: int,
    bounds: tuple[int, int],
    step: int = 13,
) -> Fraction:
    """Constants within limits, codes right; returns the largest distance from the exact sum, in codes."""
    coefficients, rescale = plan_weighted_sum(ratios, zero_points, zero_point, *bounds)
    shift, offset = int(rescale.shift[0]), int(rescale.offset[0])
    assert max(coefficients) <= INT32_MAX
    assert 1 <= shift <= 61
    assert 255 * sum(coefficients) + (abs(zero_point) << shift) < 2**62

    codes = [range(z - 128 if z <= 0 else 0, z + 128 if z <= 0 else 256, step) for z in zero_points]
    pairs = list(itertools.product(*codes))
    totals = [
        sum(a * q for a, q in zip(coefficients, pair, strict=True)) + offset for pair in pairs
    ]
    found = rescale.finish(np.array(totals), rescale.shift).tolist()
    # The exact sum as a fraction of one denominator, and everything in units of 1 / (denominator << shift).
    denominator = math.lcm(*(ratio.denominator for ratio in ratios))
    factors = [int(ratio * denominator) for ratio in ratios]
    one = denominator << shift
    limit = 255 * len(ratios) * denominator // 2
    worst = 0
    for pair, total, code in zip(pairs, totals, found, strict=True):
        exact = zero_point * denominator
        exact += sum(f * (q - z) for f, q, z in zip(factors, pair, zero_points, strict=True))
        distance = abs(total * denominator - (exact << shift))
        worst = max(worst, distance)
        assert distance <= limit
        if distance == 0 or abs((exact << shift) % one - one // 2) > limit:
            assert code == clamp(half_even(exact, denominator), *bounds), pair
    return Fraction(worst, one)


def test_dyadic_ratios_are_exact() -> None:
    assert _check([Fraction(1, 2), Fraction(1, 4)], [1, -3], 5, S8, step=1) == 0
    assert _check([Fraction(1, 2), Fraction(1, 2)], [0, 0], 0, U8, step=1) == 0


@pytest.mark.parametrize("seed", range(12))
def test_any_ratios_are_close(seed: int) -> None:
    draw = random.Random(seed)
    ratios = [Fraction(draw.randrange(1, 2**24), 2 ** draw.randrange(20, 30)) for _ in range(2)]
    bounds = draw.choice((S8, U8))
    zero_points = [draw.randint(-128, 127), draw.randint(0, 255)]
    assert _check(ratios, zero_points, draw.randint(*bounds), bounds) < Fraction(max(ratios), 2**20)


@pytest.mark.parametrize("log2", [20, 28, 30, 40, 60])
def test_tiny_ratios_leave_room_for_the_zero_point(log2: int) -> None:
    # 255 << 60 is past int64: the zero point limits the shift too.
    ratio = Fraction(3, 2**log2)
    _check([ratio, ratio / 5], [0, 7], 255, U8)
    _check([ratio, ratio], [-128, 7], -128, S8)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(NumericsError, match="too large"):
        plan_weighted_sum([Fraction(2**31), Fraction(1)], [0, 0], 0, *S8)
    with pytest.raises(NumericsError, match="positive"):
        plan_weighted_sum([Fraction(1), Fraction(-1)], [0, 0], 0, *S8)
