"""N10: several tensors added with one rounding."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import frozen_array
from ares.numerics import (
    FUNCTIONS,
    INT32_MAX,
    NumericsError,
    Pointwise,
    Rescale,
    plan_sum,
    plan_weighted_sum,
)
from tests.numerics import oracle
from tests.numerics.make_vectors import digest
from tests.numerics.oracle import S8, U8, clamp, half_even, nearest
from tests.numerics.vector_files import cases
from tests.ops.harness import codes


def test_vectors() -> None:
    for (a0, a1, offset, shift, lo, hi, *signs), [(_, (expected,))] in cases("weighted_sum.txt"):
        empty = frozen_array([], np.int32), frozen_array([], np.int16)
        parts = (
            frozen_array([1], np.int32),
            frozen_array([offset], np.int64),
            frozen_array([shift], np.uint8),
        )
        subject = Rescale(*parts, lo, hi, *empty)
        first, second = (np.arange(256) - 128 * is_signed for is_signed in signs)
        total = a0 * first[:, None] + a1 * second + offset
        assert digest(subject.finish(total, subject.shift).ravel().tolist()) == expected


def _check(
    ratios: list[Fraction],
    zero_points: list[int],
    addend: Fraction,
    bounds: tuple[int, int],
    step: int = 13,
) -> Fraction:
    """Constants within limits, codes right; returns the largest distance from the exact sum, in codes."""
    coefficients, rescale = plan_weighted_sum(ratios, zero_points, addend, *bounds)
    shift, offset = int(rescale.shift[0]), int(rescale.offset[0])
    assert max(map(abs, coefficients)) <= INT32_MAX
    assert 1 <= shift <= 61
    assert 255 * sum(map(abs, coefficients)) + abs(addend) * 2**shift < 2**62
    if shift < 61:
        finer = [abs(nearest(ratio * 2 ** (shift + 1))) for ratio in ratios]
        total = 255 * sum(finer) + abs(nearest(addend * 2 ** (shift + 1)))
        assert max(finer) > INT32_MAX or total >= 2**62, "a larger shift fits"

    codes = [range(z - 128 if z <= 0 else 0, z + 128 if z <= 0 else 256, step) for z in zero_points]
    pairs = list(itertools.product(*codes))
    totals = [
        sum(a * q for a, q in zip(coefficients, pair, strict=True)) + offset for pair in pairs
    ]
    found = rescale.finish(np.array(totals), rescale.shift).tolist()
    # The exact sum as a fraction of one denominator, and everything in units of 1 / (denominator << shift).
    denominator = math.lcm(addend.denominator, *(ratio.denominator for ratio in ratios))
    factors = [int(ratio * denominator) for ratio in ratios]
    one = denominator << shift
    # Half a unit for each coefficient, and for the addend, which is exact where it is a whole code.
    rounded = nearest(addend * 2**shift) != addend * 2**shift
    limit = (255 * len(ratios) + rounded) * denominator // 2
    worst = 0
    for pair, total, code in zip(pairs, totals, found, strict=True):
        exact = int(addend * denominator)
        exact += sum(f * (q - z) for f, q, z in zip(factors, pair, zero_points, strict=True))
        distance = abs(total * denominator - (exact << shift))
        worst = max(worst, distance)
        assert distance <= limit
        if distance == 0 or abs((exact << shift) % one - one // 2) > limit:
            assert code == clamp(half_even(exact, denominator), *bounds), pair
    return Fraction(worst, one)


def test_dyadic_ratios_are_exact() -> None:
    half, quarter = Fraction(1, 2), Fraction(1, 4)
    assert _check([half, quarter], [1, -3], Fraction(5), S8, step=1) == 0
    assert _check([half, half], [0, 0], Fraction(0), U8, step=1) == 0
    assert _check([half, -quarter], [1, -3], Fraction(5), S8, step=1) == 0
    assert _check([-half, -half], [129, 0], Fraction(-3, 2), S8, step=1) == 0
    assert _check([-half, Fraction(0)], [0, 0], Fraction(77, 4), U8, step=3) == 0


@pytest.mark.parametrize("seed", range(24))
def test_any_ratios_are_close(seed: int) -> None:
    draw = random.Random(seed)
    ratios = [Fraction(draw.randrange(1, 2**24), 2 ** draw.randrange(20, 30)) for _ in range(2)]
    bounds = draw.choice((S8, U8))
    zero_points = [draw.randint(-128, 127), draw.randint(0, 255)]
    addend = Fraction(draw.randint(*bounds))
    if seed >= 12:
        # Of every pair of signs; and what is added is no whole code.
        ratios = [r * (-1) ** (seed >> i) for i, r in enumerate(ratios)]
        addend += Fraction(draw.uniform(-300, 300))
    assert _check(ratios, zero_points, addend, bounds) < max(map(abs, ratios)) / 2**20


@pytest.mark.parametrize("log2", [20, 28, 30, 40, 60])
def test_tiny_ratios_leave_room_for_the_zero_point(log2: int) -> None:
    # 255 << 60 is past int64: the zero point limits the shift too.
    ratio = Fraction(3, 2**log2)
    _check([ratio, ratio / 5], [0, 7], Fraction(255), U8)
    _check([ratio, ratio], [-128, 7], Fraction(-128), S8)
    _check([-ratio, ratio], [-128, 7], Fraction(-(10**6), 3), S8)


def test_products_and_addend_pass_the_limit_together_only() -> None:
    for ratio in (Fraction(1, 2), Fraction(-1, 2)):
        assert _check([ratio, ratio], [0, 0], Fraction(2**31 - 128), S8) == 0


def test_inputs_at_their_zero_points_give_the_addend() -> None:
    """Whatever the coefficients were rounded to; a tie of the addend goes to the even code."""
    for addend, code in ((Fraction(5), 5), (Fraction(5, 2), 2), (Fraction(7, 2), 4)):
        for ratios in ([Fraction(1, 3), Fraction(-1, 7)], [Fraction(-22, 7), Fraction(0)]):
            (a0, a1), rescale = plan_weighted_sum(ratios, [3, 129], addend, *S8)
            total = a0 * 3 + a1 * 129 + rescale.offset
            assert rescale.finish(total, rescale.shift).tolist() == [code]


def test_what_does_not_fit_is_refused() -> None:
    for ratio in (Fraction(2**31), Fraction(-(2**31))):
        with pytest.raises(NumericsError, match="too large"):
            plan_weighted_sum([ratio, Fraction(1)], [0, 0], Fraction(0), *S8)
    with pytest.raises(NumericsError, match="multiplied by zero"):
        plan_weighted_sum([Fraction(0), Fraction(0)], [0, 0], Fraction(0), *S8)


@pytest.mark.parametrize("name", ["gelu", "hardswish", "leaky_relu", "silu", "tanh"])
def test_function_of_a_sum(name: str) -> None:
    """Steps behind the sum: the oracle's function of the exact sum, rounded once, but next to ties."""
    scales, zero_points = [Fraction(0.0371), Fraction(-0.0293)], [3, -17]
    factor, addend = Fraction(-3, 2), Fraction(1, 8)
    target = codes("y", (1,), "u8", 0.0137, 129)
    pointwise = Pointwise((factor,), (addend,), (FUNCTIONS[name],))
    coefficients, rescale = plan_sum(pointwise, scales, zero_points, target)
    assert max(map(abs, coefficients)) <= INT32_MAX
    assert rescale.thresholds.size
    pairs = list(itertools.product(range(-128, 128, 5), range(-128, 128, 7)))
    totals = [
        sum(a * q for a, q in zip(coefficients, pair, strict=True)) + int(rescale.offset[0])
        for pair in pairs
    ]
    found = rescale.finish(np.array(totals), rescale.shift).tolist()
    slack = Fraction(1, 2**20)
    seen = set()
    for pair, code in zip(pairs, found, strict=True):
        terms = zip(scales, pair, zero_points, strict=True)
        real = factor * sum(s * (q - z) for s, q, z in terms) + addend
        exact = oracle.FUNCTIONS[name](real) / Fraction(0.0137) + 129
        exact = max(Fraction(0), min(Fraction(255), exact))
        assert abs(code - exact) <= Fraction(1, 2) + slack, pair
        seen.add(code)
    assert len(seen) > 40


def test_function_of_a_sum_that_is_one_code() -> None:
    """No step is left where the output's codes are coarse; and of limits there is none to begin with."""
    target = codes("y", (1,), "s8", 64.0, 5)
    small = [Fraction(1, 512), Fraction(1, 512)]
    for function, thresholds in (("sigmoid", 1), ("relu", 0)):
        pointwise = Pointwise(functions=(FUNCTIONS[function],))
        coefficients, rescale = plan_sum(pointwise, small, [0, 0], target)
        assert rescale.thresholds.size == thresholds
        ends = np.array(
            [sign * 128 * sum(coefficients) + int(rescale.offset[0]) for sign in (-1, 1)]
        )
        assert rescale.finish(ends, rescale.shift).tolist() == [5, 5]
