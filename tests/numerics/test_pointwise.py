"""N3 to N5: factors, addends and functions between accumulator and quantiser become one rounding, exactly.

All numbers here are short binary fractions and all functions pieces of lines, so that float64 is exact too: what is
expected is computed step by step in Fractions and compared for equality, ties and clips included.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.ir import DType, Tensor
from ares.numerics import (
    FUNCTIONS,
    IDENTITY,
    INT32_MAX,
    PLAIN,
    RELU,
    Function,
    NumericsError,
    Pointwise,
    affine,
    clip,
    compose,
    leaky_relu,
    plan_pointwise,
    sign,
)
from ares.numerics.tables import steps_of_channel
from tests.numerics import oracle

Exact = Callable[[Fraction], Fraction]
CHANNELS = 3


class Chain:
    """A Pointwise beside what it must mean, a list of exact functions for each channel."""

    def __init__(self) -> None:
        self.pointwise = PLAIN
        self.steps: list[list[Exact]] = [[] for _ in range(CHANNELS)]

    def scale(self, factors: Sequence[Fraction], addends: Sequence[Fraction]) -> None:
        self.pointwise = self.pointwise.scaled(factors, addends)
        for c, steps in enumerate(self.steps):
            a, b = factors[c % len(factors)], addends[c % len(addends)]
            steps.append(lambda x, a=a, b=b: x * a + b)

    def then(self, functions: Sequence[tuple[Function, Exact]]) -> None:
        self.pointwise = self.pointwise.then([function for function, _ in functions])
        for c, steps in enumerate(self.steps):
            steps.append(functions[c % len(functions)][1])

    def exact(self, x: Fraction, channel: int) -> Fraction:
        for step in self.steps[channel]:
            x = step(x)
        return x


def _leaky(slope: Fraction) -> tuple[Function, Exact]:
    return leaky_relu(float(slope)), lambda x: oracle.leaky_relu(x, slope)


def _clip(lo: Fraction | None, hi: Fraction | None) -> tuple[Function, Exact]:
    if lo is not None and hi is not None:
        lo, hi = min(lo, hi), max(lo, hi)
    return clip(lo, hi), lambda x: oracle.clip(x, lo, hi)


NUMBERS = st.integers(-12, 12).map(lambda n: Fraction(n, 4))
ONE_OR_EACH = st.sampled_from((1, CHANNELS))


def _some(draw: st.DrawFn, values: st.SearchStrategy[Fraction]) -> list[Fraction]:
    count = draw(ONE_OR_EACH)
    return draw(st.lists(values, min_size=count, max_size=count))


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    chain = Chain()
    for kind in draw(st.lists(st.sampled_from(["scale", "clip", "leaky"]), max_size=5)):
        if kind == "scale":
            chain.scale(_some(draw, NUMBERS), _some(draw, NUMBERS))
        elif kind == "leaky":
            slopes = st.sampled_from([Fraction(n, 4) for n in (-4, -1, 0, 1, 2)])
            chain.then([_leaky(slope) for slope in _some(draw, slopes)])
        else:
            ends = st.one_of(st.none(), NUMBERS)
            count = draw(ONE_OR_EACH)
            chain.then([_clip(draw(ends), draw(ends)) for _ in range(count)])
    return chain


POINTS = [Fraction(n, 8) for n in (*range(-40, 41), -999, 999, -(10**5), 10**5)]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(chains())
def test_a_chain_is_what_its_steps_are(chain: Chain) -> None:
    """Any chain of affine functions, limits and others, shared or one a channel, at any argument."""
    pointwise = chain.pointwise
    assert pointwise.channels in (1, CHANNELS)
    for c in range(CHANNELS):
        factor, addend, function = (
            values[c % len(values)]
            for values in (pointwise.factors, pointwise.addends, pointwise.functions)
        )
        arguments = [x * factor + addend for x in POINTS]
        expected = [chain.exact(x, c) for x in POINTS]
        found = function.evaluate(np.array([float(x) for x in arguments])).tolist()
        assert [Fraction(value) for value in found] == expected
        if function.clips is not None:
            assert [oracle.clip(x, *function.clips) for x in arguments] == expected
        if pointwise.channels == 1:
            reals = np.array([float(x) for x in POINTS])
            assert [Fraction(v) for v in pointwise.evaluate(reals).tolist()] == expected


@settings(derandomize=True, deadline=None, max_examples=200)
@given(chains())
def test_a_chain_is_monotone_between_its_turning_points(chain: Chain) -> None:
    for function in chain.pointwise.functions:
        points = sorted({*(float(x) for x in POINTS), *function.turning_points})
        values = function.evaluate(np.array(points)).tolist()
        pieces = np.searchsorted(function.turning_points, points, side="left").tolist()
        for piece in set(pieces):
            row = [v for v, p in zip(values, pieces, strict=True) if p == piece]
            assert row in (sorted(row), sorted(row, reverse=True)), function.turning_points


TARGETS = (
    Tensor("y", (1,), DType.S8, 0.5, -3, -128, 127),
    Tensor("y", (1,), DType.U8, 0.25, 131, 0, 255),
    Tensor("y", (1,), DType.S8, 1.0, 1, -8, 7),
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(chains(), st.integers(0, 2), st.integers(0, 2**32))
def test_the_plan_of_a_chain_rounds_once(chain: Chain, number: int, seed: int) -> None:
    """Every accumulator of every channel, with ratios of both signs and zero: N3 and N4, or N5."""
    target, draw = TARGETS[number], random.Random(seed)
    assert target.scale is not None
    ratios, biases = (
        [Fraction(draw.randrange(-8, 9), 8) for _ in range(draw.choice((1, CHANNELS)))]
        for _ in range(2)
    )
    bound = draw.choice((1, 7, 50))
    rescale = plan_pointwise(chain.pointwise, ratios, biases, target, bound)
    assert rescale.channels in (1, CHANNELS)
    assert rescale.thresholds.shape[:-1] == ((CHANNELS,) if rescale.has_own_steps else ())
    accumulators = np.arange(-bound, bound + 1)
    found = rescale.apply(np.repeat(accumulators[:, None], CHANNELS, axis=1))
    for c in range(CHANNELS):
        ratio, bias = ratios[c % len(ratios)], biases[c % len(biases)]
        expected = [
            oracle.quantize(
                chain.exact(int(acc) * ratio + bias, c),
                Fraction(target.scale),
                target.zero_point,
                target.lo,
                target.hi,
            )
            for acc in accumulators
        ]
        assert found[:, c].tolist() == expected


def test_what_joins_and_what_becomes_a_function() -> None:
    """BatchNorm, ReLU6, and a factor behind it stay multiplier, offset and two codes; gamma may turn the limits."""
    norm = PLAIN.scaled([Fraction(-1, 2), Fraction(0)], [Fraction(1), Fraction(3)])
    assert (norm.factors, norm.addends) == ((Fraction(-1, 2), Fraction(0)), (1, 3))
    six = norm.then([clip(Fraction(0), Fraction(6))])
    turned = six.scaled([Fraction(-2)], [Fraction(1)])
    assert turned.factors == (Fraction(1), Fraction(0))
    assert turned.addends == (Fraction(-1), Fraction(-5))
    assert turned.function is not None
    assert turned.function.clips == (Fraction(-11), Fraction(1))
    assert six.scaled([Fraction(3)], [Fraction(0)]).functions[0].clips == (0, 18)
    # Equal constants are one; a factor for each channel behind a limit is a function for each.
    assert PLAIN.scaled([Fraction(2)] * 4, [Fraction(1)] * 4).channels == 1
    assert six.scaled([Fraction(1), Fraction(2)], [Fraction(0)]).function is None
    assert PLAIN.is_function
    assert not norm.is_function
    assert PLAIN.then([RELU]).is_function
    assert PLAIN.then([IDENTITY, RELU]).channels == 2


def test_steps_of_a_channel_with_every_sign() -> None:
    """What falls with the accumulator has the steps of its mirror image; zero leaves one code."""
    target = Tensor("y", (1,), DType.S8, 3 / 127, 5, -128, 127)
    ratio, bias, bound = Fraction(1, 300), Fraction(-2, 3), 1500
    for name in ("gelu", "mish", "hardswish", "leaky_relu", "softplus"):
        turns = 0
        for factor in (ratio, -ratio):
            thresholds, codes = steps_of_channel(FUNCTIONS[name], factor, bias, target, bound)
            assert thresholds == sorted(set(thresholds))
            assert len(codes) == len(thresholds) + 1
            for acc in range(-bound, bound + 1, 37):
                real = oracle.FUNCTIONS[name](acc * factor + bias)
                expected = oracle.quantize(real, Fraction(3 / 127), 5, -128, 127)
                assert oracle.step_code(acc, thresholds, codes) == expected, (name, acc)
            turns += codes[0] < codes[-1]
        assert turns == 1
        thresholds, codes = steps_of_channel(FUNCTIONS[name], Fraction(0), bias, target, bound)
        real = oracle.FUNCTIONS[name](bias)
        assert thresholds == []
        assert codes == [oracle.quantize(real, Fraction(3 / 127), 5, -128, 127)]


def test_tables_of_one_length() -> None:
    """PReLU with a slope a channel: long, short and no tables side by side, to both ends of the accumulator."""
    target = Tensor("y", (1,), DType.S8, 2.0**24, 0, -128, 127)
    slopes = [Fraction(1), Fraction(0), Fraction(-1, 2), Fraction(1, 4)]
    functions = [leaky_relu(float(slope)) for slope in slopes]
    functions.append(clip(Fraction(2**25), Fraction(2**25)))
    pointwise = Pointwise(functions=tuple(functions))
    rescale = plan_pointwise(pointwise, [Fraction(1)], [Fraction(0)], target, INT32_MAX)
    assert rescale.thresholds.shape == (5, 255)
    assert rescale.codes.shape == (5, 256)
    padded = [int((row == INT32_MAX).sum()) for row in rescale.thresholds]
    assert padded == [0, 128, 64, 96, 255]
    accumulators = [0, 2**23, 2**23 + 1, -(2**23), -(2**23) - 1, INT32_MAX, -INT32_MAX, 2**30]
    accumulators += [3 * 2**23, 3 * 2**23 - 1, -3 * 2**23, 2**25, 5 * 2**22]
    found = rescale.apply(np.repeat(np.array(accumulators)[:, None], 5, axis=1))
    for c, acc in itertools.product(range(5), range(len(accumulators))):
        x = Fraction(accumulators[acc])
        real = oracle.leaky_relu(x, slopes[c]) if c < 4 else Fraction(2**25)
        expected = oracle.quantize(real, Fraction(2**24), 0, -128, 127)
        assert found[acc, c] == expected, (c, accumulators[acc])


def test_one_constant_a_channel_is_a_threshold_that_changes_nothing() -> None:
    target = TARGETS[0]
    pointwise = Pointwise(
        (Fraction(0),), (Fraction(5), Fraction(-7)), tuple(map(leaky_relu, (0.5, 0.25)))
    )
    rescale = plan_pointwise(pointwise, [Fraction(9)], [Fraction(1)], target, 100)
    assert rescale.thresholds.tolist() == [[INT32_MAX]] * 2
    assert rescale.codes.tolist() == [[7, 7], [-6, -6]]  # -7 / 4 / 0.5 - 3 = -6.5


def test_accumulators_past_int32_are_refused() -> None:
    for pointwise in (PLAIN, PLAIN.then([FUNCTIONS["silu"]])):
        with pytest.raises(NumericsError, match="int32 ends"):
            plan_pointwise(pointwise, [Fraction(1)], [Fraction(0)], TARGETS[0], 2**31)


def test_accumulators_past_int32_are_refused_with_a_function_a_channel() -> None:
    pointwise = PLAIN.then([leaky_relu(0.5), leaky_relu(0.25)])
    with pytest.raises(NumericsError, match="int32 ends"):
        plan_pointwise(pointwise, [Fraction(1)], [Fraction(0)], TARGETS[0], 2**31)


@pytest.mark.parametrize("distance", [Fraction(0), Fraction(1, 2**16), Fraction(-1, 2**16)])
def test_a_jump_is_where_it_is_in_every_channel(distance: Fraction) -> None:
    """A binary quantiser behind a bias: at zero, where an integer bias often leads, and beside it."""
    target = Tensor("y", (1,), DType.S8, 1.0, 0, -1, 1)
    ratios = [Fraction(n) / 10 for n in (0.7, 0.3, 0.9, 0.11, 0.13)]
    for acc in (5, 313, 40009, 2**20 - 1):
        biases = [(distance - acc) * ratio for ratio in ratios]
        rescale = plan_pointwise(PLAIN.then([sign(1.0)]), ratios, biases, target, 2**21)
        found = rescale.apply(np.array([[acc - 1] * 5, [acc] * 5, [acc + 1] * 5])).tolist()
        assert found == [[-1] * 5, [1 if distance >= 0 else -1] * 5, [1] * 5], acc


def test_what_keeps_order() -> None:
    """A maximum may change places with it."""
    assert affine(Fraction(1, 10**6), Fraction(-5)).is_non_decreasing
    assert not affine(Fraction(-1, 10**6), Fraction(5)).is_non_decreasing
    assert sign(0.1).is_non_decreasing


def test_what_falls_far_away_does_not_keep_order() -> None:
    assert not compose(affine(Fraction(-1), Fraction(-2000)), RELU).is_non_decreasing
