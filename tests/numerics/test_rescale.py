"""N3 to N5: constants within their limits, close to the exact ratio, and applied exactly."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import frozen_array
from ares.numerics import INT32_MAX, NumericsError, Rescale, plan_rescale
from ares.numerics.rescale import plan_multipliers
from tests.numerics.make_vectors import digest
from tests.numerics.oracle import S8, U8, clamp, half_even, nearest, rescale, step_code
from tests.numerics.vector_files import cases


def _rescale(multiplier: int, offset: int, shift: int, lo: int, hi: int) -> Rescale:
    return Rescale(
        frozen_array([multiplier], np.int32),
        frozen_array([offset], np.int64),
        frozen_array([shift], np.uint8),
        lo,
        hi,
        frozen_array([], np.int32),
        frozen_array([], np.int16),
    )


def test_vectors() -> None:
    for constants, lines in cases("rescale.txt"):
        subject = _rescale(*constants)
        for word, numbers in lines:
            if word == "dense":
                first, count, expected = numbers
                assert digest(subject.apply(np.arange(first, first + count)).tolist()) == expected
            else:
                acc, *codes = numbers
                assert subject.apply(np.array([acc, acc + 1])).tolist() == codes, constants


def test_step_vectors() -> None:
    for (size, *rest), lines in cases("steps.txt"):
        thresholds, codes = rest[:size], rest[size:]
        subject = Rescale(
            frozen_array([4], np.int32),
            frozen_array([0], np.int64),
            frozen_array([2], np.uint8),
            0,
            0,
            frozen_array(thresholds, np.int32),
            frozen_array(codes, np.int16),
        )
        ends = [-(2**40), -1, 0, 2**40, -(2**31), 2**31 - 1]
        values = np.array([v for t in thresholds for v in (t - 1, t)] + ends)
        found = subject.finish(values * 4, np.uint8(2)).tolist()
        assert found == [step_code(int(value), thresholds, codes) for value in values]
        for word, numbers in lines:
            if word == "edges":
                assert digest(found) == numbers[0]
            else:
                assert found[values.tolist().index(numbers[0])] == numbers[1]


def _channels(
    head: list[int], lines: list[tuple[str, list[int]]]
) -> tuple[Rescale, list[list[int]]]:
    """A record of `channels.txt`: the constants, and its rows of accumulator and codes."""
    _, size, _, step_stride, lo, hi = head
    arrays = {word: numbers for word, numbers in lines if word not in ("table", "row")}
    tables = [numbers for word, numbers in lines if word == "table"]
    thresholds, codes = [t[:size] for t in tables], [t[size:] for t in tables]
    if tables and not step_stride:
        (thresholds,), (codes,) = thresholds, codes
    subject = Rescale(
        frozen_array(arrays["multipliers"], np.int32),
        frozen_array(arrays["offsets"], np.int64),
        frozen_array(arrays["shifts"], np.uint8),
        lo,
        hi,
        frozen_array(thresholds, np.int32),
        frozen_array(codes, np.int16),
    )
    return subject, [numbers for word, numbers in lines if word == "row"]


def test_channel_vectors() -> None:
    """Signed multipliers and steps for each channel, with the channels on any axis."""
    seen = set()
    for head, lines in cases("channels.txt"):
        subject, rows = _channels(head, lines)
        channels = head[0]
        assert subject.channels in (1, channels)
        assert subject.has_own_steps == bool(head[3])
        acc = np.array([[row[0]] * channels for row in rows])
        expected = [row[1:] for row in rows]
        assert subject.apply(acc).tolist() == expected
        for axis in (0, 1, 2):
            moved = np.moveaxis(acc[:, None, :], 2, axis)
            found = np.moveaxis(subject.apply(moved, axis=axis), axis, 2)
            assert found[:, 0].tolist() == expected, axis
        seen |= {int(np.sign(m)) for m in subject.multiplier if head[2]}
    assert seen == {-1, 0, 1}


def test_one_constant_for_each_channel() -> None:
    subject = plan_rescale([Fraction(1, 2), Fraction(1, 4)], [Fraction(0)], 1, *S8, 1000)
    acc = np.array([[[3, 5], [6, 10]]])
    assert subject.channels == 2
    assert subject.apply(acc, axis=1).tolist() == [[[2, 4], [2, 4]]]
    assert subject.apply(acc, axis=2).tolist() == [[[2, 2], [4, 4]]]
    # Channels that agree are stored once.
    assert plan_rescale([Fraction(1, 2)] * 3, [Fraction(1)] * 3, 0, *S8, 9).channels == 1
    biased = plan_rescale([Fraction(1, 2)], [Fraction(1), Fraction(2), Fraction(3)], 0, *S8, 9)
    assert biased.channels == 3


def _plans() -> Iterator[tuple[Fraction, Fraction, int, tuple[int, int], int]]:
    """(ratio, bias in codes, zero point, bounds, accumulator bound)"""
    for log2 in range(1, 24):
        yield Fraction(1, 2**log2), Fraction(0), 0, S8, 2**23
    yield Fraction(1, 2), Fraction(-7, 2), 101, U8, 2**20
    yield Fraction(1), Fraction(1, 2), -3, S8, 2**31 - 1
    yield Fraction(3, 1024), Fraction(5, 8), 17, U8, 2**31 - 1
    draw = random.Random(7)
    for _ in range(150):
        source, weight, target = (
            Fraction(draw.randrange(2**23, 2**24), 2 ** draw.randrange(23, 34)) for _ in range(3)
        )
        ratio = source * weight / target
        lo, hi = draw.choice((S8, U8, (-8, 7), (0, 3)))
        bias = Fraction(draw.randrange(-(2**30), 2**30), 2 ** draw.randrange(22, 40))
        bound = draw.choice((0, 127, 255 * 127 * 9, 2**27, 2**31 - 1))
        if ratio < 1:
            yield ratio, bias, draw.randint(lo, hi), (lo, hi), bound
    # Ratios below 2**-31 leave fewer bits for the multiplier.
    yield Fraction(1, 3 * 2**40), Fraction(1, 3), 5, U8, 2**31 - 1
    yield Fraction(5, 3), Fraction(10**6, 7), 5, U8, 2**31 - 1
    # Product and offset pass 2**62 together only.
    yield Fraction(2**31 - 1, 2**31), Fraction(100), 0, S8, 2**31 - 1


@pytest.mark.parametrize("sign", [1, -1])
def test_planned_constants(sign: int) -> None:
    for ratio, *plan in _plans():
        _check(sign * ratio, *plan)


def _check(
    ratio: Fraction, bias: Fraction, zero_point: int, bounds: tuple[int, int], bound: int
) -> None:
    """Constants within their limits, as fine as these allow, and codes right up to what that costs."""
    lo, hi = bounds
    subject = plan_multipliers([ratio], [bias], zero_point, lo, hi, bound)
    (m,), (b,), (s,) = (
        field.tolist() for field in (subject.multiplier, subject.offset, subject.shift)
    )
    assert abs(m) < 2**31
    assert 1 <= s <= 61
    assert bound * abs(m) + abs(b) < 2**62
    if s < 61:
        finer = abs(nearest(ratio * 2 ** (s + 1)))
        addend = nearest((bias + zero_point) * 2 ** (s + 1))
        assert finer >= 2**31 or bound * finer + abs(addend) >= 2**62, "a larger shift fits"

    limit = (256 + 2 * abs(bias + zero_point)) / Fraction(2**31 - 2) + Fraction(1, 2 ** (s + 1))
    edges = [
        (2 * code + 1 - 2 * (bias + zero_point)) / (2 * ratio) for code in range(lo - 1, hi + 1)
    ]
    inside = {int(edge) + near for edge in edges for near in (-1, 0, 1, 2)} | {0}
    accumulators = sorted({clamp(acc, -bound, bound) for acc in inside})
    codes = subject.apply(np.array(accumulators)).tolist()
    for acc, code in zip(accumulators, codes, strict=True):
        exact = acc * ratio + bias + zero_point
        if lo - 1 <= exact <= hi + 1:
            assert abs(Fraction(acc * m + b, 2**s) - exact) <= limit
        from_tie = abs(exact % 1 - Fraction(1, 2))
        is_exact = ratio * 2**s == m and (bias + zero_point) * 2**s == b
        if is_exact or from_tie > limit:
            assert code == clamp(nearest(exact), lo, hi), acc
        assert code == rescale(acc, m, b, s, lo, hi)
    ends = np.array([-bound, bound])
    assert subject.apply(ends).tolist() == [rescale(int(acc), m, b, s, lo, hi) for acc in ends]


def test_dyadic_ratios_and_ties_are_exact() -> None:
    for log2, zero_point in ((1, 0), (2, 1), (7, -3), (10, 5)):
        subject = plan_rescale([Fraction(1, 2**log2)], [Fraction(0)], zero_point, *S8, 2**20)
        acc = np.arange(-(2 ** (log2 + 8)), 2 ** (log2 + 8))
        expected = [clamp(half_even(a + (zero_point << log2), 2**log2), *S8) for a in acc.tolist()]
        ties = acc % 2**log2 == 2 ** (log2 - 1)
        assert ties.sum() == 512
        np.testing.assert_array_equal(subject.apply(acc), expected)


@pytest.mark.parametrize(
    ("ratio", "bias", "message"),
    [
        (Fraction(-(2**31)), Fraction(0), "too large"),
        (Fraction(0), Fraction(2**62), "too large"),
        (Fraction(2**31), Fraction(0), "too large"),
        (Fraction(1, 2), Fraction(2**62), "too large"),
    ],
)
def test_what_does_not_fit_is_refused(ratio: Fraction, bias: Fraction, message: str) -> None:
    with pytest.raises(NumericsError, match=message):
        plan_rescale([ratio], [bias], 0, *S8, INT32_MAX)


def test_a_ratio_of_zero_leaves_the_bias() -> None:
    """A BatchNorm whose weight is zero: one code a channel, also at a tie and past the ends."""
    biases = [Fraction(n, 4) for n in (-1000, -514, -6, -2, 2, 6, 7, 510, 1000)]
    for zero_point in (0, 1):
        subject = plan_rescale([Fraction(0)] * 9, biases, zero_point, *S8, 2**31 - 1)
        expected = [clamp(nearest(bias + zero_point), *S8) for bias in biases]
        for acc in (0, 1, -(2**31) + 1, 2**31 - 1):
            assert subject.apply(np.full((1, 9), acc)).tolist() == [expected]
    assert not subject.multiplier.any()


def test_channels_of_every_sign() -> None:
    """gamma negative, zero and positive side by side; ties fall on both sides of zero in each."""
    ratios = [Fraction(-1, 2), Fraction(0), Fraction(1, 2), Fraction(-3, 8), Fraction(5, 8)]
    biases = [Fraction(1), Fraction(-3, 2), Fraction(1, 2), Fraction(0), Fraction(-1, 8)]
    subject = plan_rescale(ratios, biases, 3, -8, 7, 40)
    acc = np.arange(-40, 41)
    found = subject.apply(np.repeat(acc[:, None], 5, axis=1))
    for c, (ratio, bias) in enumerate(zip(ratios, biases, strict=True)):
        reals = [int(a) * ratio + bias + 3 for a in acc]
        assert found[:, c].tolist() == [clamp(nearest(real), -8, 7) for real in reals]
        ties = {real > 3 for real in reals if real.denominator == 2 and -8 < real < 7}
        assert ties == {True, False} or not ratio
        assert {-8, 7} <= set(found[:, c].tolist()) or not ratio


@pytest.mark.parametrize("zero_point", [0, 7, -3])
@pytest.mark.parametrize("divisor", [3, 6, 12, 14, 49, 99, 12000, -6, -14, -99])
def test_ties_of_averages_go_to_the_even_code(divisor: int, zero_point: int) -> None:
    """1 / divisor is not dyadic: no multiplier gets these ties right, stored steps do."""
    bound = 128 * abs(divisor)
    ratio = Fraction(1, divisor)
    rescale = plan_rescale([ratio], [Fraction(0)], zero_point, -128, 127, bound)
    assert rescale.thresholds.size
    accumulators = np.arange(-bound, bound + 1, max(1, abs(divisor) // 600))
    found = rescale.apply(accumulators)
    ties = 0
    for accumulator, code in zip(accumulators.tolist(), found.tolist(), strict=True):
        real = Fraction(accumulator, divisor) + zero_point
        ties += real.denominator == 2
        assert code == min(max(round(real), -128), 127), accumulator
    assert ties > 0 or divisor % 2 == 1


@pytest.mark.parametrize("ratio", [Fraction(1, 18), Fraction(-1, 18)])
def test_a_tie_at_the_end_of_the_accumulator(ratio: Fraction) -> None:
    """9 / 18 is half a code, and the largest accumulator: all codes are zero."""
    rescale = plan_rescale([ratio], [Fraction(0)], 0, *S8, 9)
    assert rescale.apply(np.arange(-9, 10)).tolist() == [0] * 19


@pytest.mark.parametrize("bound", [1, 8, 10, 27, 28])
@pytest.mark.parametrize("ratio", [Fraction(1, 18), Fraction(-1, 18), Fraction(5, 18)])
def test_few_accumulators(ratio: Fraction, bound: int) -> None:
    for lo, hi in (S8, (0, 1), (-1, 0)):
        rescale = plan_rescale([ratio], [Fraction(0)], 0, lo, hi, bound)
        accumulators = np.arange(-bound, bound + 1)
        expected = [clamp(nearest(int(acc) * ratio), lo, hi) for acc in accumulators]
        assert rescale.apply(accumulators).tolist() == expected


def test_long_denominators_keep_the_multiplier() -> None:
    """Scales as training leaves them have no ties: one multiplication, no table."""
    rescale = plan_rescale(
        [Fraction(0.0123) / Fraction(0.0457) / 6], [Fraction(0)], 0, -128, 127, 128 * 6
    )
    assert rescale.thresholds.size == 0
