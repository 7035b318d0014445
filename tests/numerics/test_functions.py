"""N7, N12: functions evaluated at extraction are right to float64, and so are their steps on the accumulator grid."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ares.ir import DType, Tensor
from ares.numerics import (
    FUNCTIONS,
    IDENTITY,
    RELU,
    Function,
    NumericsError,
    Rescale,
    affine,
    celu,
    compose,
    elu,
    leaky_relu,
    plan_function,
    sign,
    softplus,
)
from tests.numerics import oracle

NOISE = Fraction(1, 2**40)  # float64 against exact, in codes
EXACT = oracle.FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_right_to_float64(name: str) -> None:
    function = FUNCTIONS[name]
    draw = random.Random(1)
    points = [0.0, -0.0, *function.turning_points, 0.5, -0.5, 3.0, -8.0, -16.5, 40.0, -40.0]
    points += [draw.uniform(-8, 8) for _ in range(60)] + [
        draw.uniform(-1, 1) / 2**20 for _ in range(20)
    ]
    for x, found in zip(points, function.evaluate(np.array(points)).tolist(), strict=True):
        exact = EXACT[name](Fraction(x))
        # Relative to the argument too: in the left tail of gelu_tanh, 1 + tanh cancels.
        assert abs(Fraction(found) - exact) <= max(abs(Fraction(x)), abs(exact)) / 2**51


# Function and oracle for parameters that are no default.
PARAMETERS: list[tuple[Function, Callable[[Fraction], Fraction]]] = [
    (elu(0.25), lambda x: oracle.elu(x, Fraction(1, 4))),
    (elu(-1.5), lambda x: oracle.elu(x, Fraction(-3, 2))),
    (leaky_relu(0.3), lambda x: oracle.leaky_relu(x, Fraction(0.3))),
    (leaky_relu(-0.5), lambda x: oracle.leaky_relu(x, Fraction(-1, 2))),
    (softplus(3.0, 20.0), lambda x: oracle.softplus(x, Fraction(3), 20)),
    (softplus(0.5, 1.0), lambda x: oracle.softplus(x, Fraction(1, 2), 1)),
    (softplus(-2.0, 5.0), lambda x: oracle.softplus(x, Fraction(-2), 5)),
    (celu(0.5), lambda x: oracle.celu(x, Fraction(1, 2))),
    (celu(3.0), lambda x: oracle.celu(x, Fraction(3))),
    (affine(Fraction(0.7), Fraction(0)), lambda x: x * Fraction(0.7)),
    (affine(Fraction(-9, 16), Fraction(3)), lambda x: x * Fraction(-9, 16) + 3),
    (sign(0.25), lambda x: Fraction(1, 4) if x >= 0 else Fraction(-1, 4)),
]


@pytest.mark.parametrize("pair", PARAMETERS, ids=lambda pair: pair[0].name)
def test_parameters(pair: tuple[Function, Callable[[Fraction], Fraction]]) -> None:
    function, exact = pair
    draw = random.Random(2)
    corners = [-30.0, *function.turning_points, 30.0]
    points = [draw.uniform(-12, 12) for _ in range(200)] + [0.0]
    points += [math.nextafter(p, side) for p in function.turning_points for side in (-99, 99)]
    for x, found in zip(points, function.evaluate(np.array(points)).tolist(), strict=True):
        real = exact(Fraction(x))
        slack = max(abs(Fraction(x)), abs(real)) / 2**51 + Fraction(1, 2**1000)  # subnormals
        assert abs(Fraction(found) - real) <= slack, x
    for left, right in itertools.pairwise(corners):
        # A turning point belongs to the piece on its left.
        after = Fraction(math.nextafter(left, math.inf))
        values = [exact(after + (Fraction(right) - after) * i / 29) for i in range(30)]
        assert values == sorted(values, reverse=values[0] > values[-1]), (left, right)
    rises = not function.turning_points and exact(Fraction(-30)) <= exact(Fraction(30))
    assert function.is_non_decreasing == rises


# What becomes of -10**6 and 10**6; of all others nothing below and the argument above.
FAR = {
    "identity": (-1e6, 1e6),
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1e6 / 1000001, 1e6 / 1000001),
    "elu": (-1.0, 1e6),
    "selu": (-1.0507009873554805 * 1.6732632423543772, 1.0507009873554805 * 1e6),
    "leaky_relu": (-1e4, 1e6),
    "log_sigmoid": (-1e6, 0.0),
}


def test_far_arguments_neither_overflow_nor_vanish() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for name, function in FUNCTIONS.items():
            low, high = function.evaluate(np.array([-1e6, 1e6])).tolist()
            assert (low, high) == FAR.get(name, (0.0, 1e6))
        for function in (celu(0.5), celu(1e-300), sign(0.5)):
            assert np.isfinite(function.evaluate(np.array([-1e6, 1e6]))).all()


@pytest.mark.parametrize(("beta", "threshold"), [(0.0, 20.0), (math.inf, 1.0), (1.0, 701.0)])
def test_softplus_refuses_what_pytorch_cannot_evaluate(beta: float, threshold: float) -> None:
    with pytest.raises(ValueError, match="softplus with beta"):
        softplus(beta, threshold)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_between_turning_points_the_function_is_monotone(name: str) -> None:
    function, exact = FUNCTIONS[name], EXACT[name]
    near = Fraction(1, 10**12)
    for point in function.turning_points:
        middle = Fraction(point)
        before, at, after = exact(middle - near), exact(middle), exact(middle + near)
        assert (before - at) * (after - at) > 0
    corners = [Fraction(-16), *(Fraction(p) for p in function.turning_points), Fraction(32)]
    for left, right in itertools.pairwise(corners):
        values = [exact(left + (right - left) * i / 97) for i in range(98)]
        rises = exact(right) >= exact(left)
        assert values == sorted(values, reverse=not rises)
    assert function.is_non_decreasing == (not function.turning_points)


def test_compose() -> None:
    gelu = FUNCTIONS["gelu"]
    assert compose(IDENTITY, gelu) is gelu
    assert compose(gelu, IDENTITY) is gelu
    assert compose(RELU, RELU) is RELU  # what only limits: test_clips.py
    both = compose(gelu, RELU)
    assert both.evaluate(np.array([-1.0, 2.0])).tolist() == [0.0, gelu.evaluate(np.array([2.0]))[0]]


@pytest.mark.parametrize(
    ("inner", "outer", "count"),
    [
        ("gelu", "gelu", 1),  # which never goes down to the outer one's turning point
        ("relu", "gelu", 0),
        ("tanh", "silu", 0),
        ("tanh", "gelu", 1),
        ("leaky_relu", "hardswish", 1),
        ("softplus", "tanh", 1),
        ("mish", "tanh", 1),
        ("selu", "mish", 1),
        ("log_sigmoid", "silu", 1),
        ("softsign", "mish", 0),
    ],
)
def test_a_composition_turns_where_either_turns(inner: str, outer: str, count: int) -> None:
    function = compose(FUNCTIONS[inner], FUNCTIONS[outer])
    assert len(function.turning_points) == count
    corners = [Fraction(-60), *(Fraction(p) for p in function.turning_points), Fraction(32)]
    for left, right in itertools.pairwise(corners):
        reals = [left + (right - left) * i / 61 for i in range(62)]
        values = [EXACT[outer](EXACT[inner](x)) for x in reals]
        assert values == sorted(values, reverse=values[0] > values[-1])


def test_a_composition_crosses_a_turning_point_twice() -> None:
    """gelu of elu with a negative alpha, shifted down: falls through the turning point, and rises through it."""
    function = compose(elu(-2.0), leaky_relu(-1.0))
    assert all(abs(point) < 1e-300 for point in function.turning_points)
    four = affine(Fraction(4), Fraction(0))
    deep = compose(four, compose(FUNCTIONS["silu"], affine(Fraction(3), Fraction(0))))
    twice = compose(deep, FUNCTIONS["hardswish"])
    assert len(twice.turning_points) == 1
    deeper = compose(deep, compose(four, FUNCTIONS["hardswish"]))
    assert len(deeper.turning_points) == 3
    for point in deeper.turning_points[::2]:
        assert abs(4 * deep.evaluate(np.array([point]))[0] + 1.5) < 1e-14


# (function, scale, zero point, type, lo, hi, ratio of the accumulator in real units, bias, bound)
PLANS = [
    ("gelu", 8 / 255, 0, "s8", -128, 127, Fraction(1, 4000), Fraction(0), 10**6),
    ("gelu", 2.0**-5, 11, "u8", 0, 255, Fraction(1, 2**13), Fraction(1, 7), 2**20),
    ("gelu", 0.17 / 127, -1, "s8", -128, 127, Fraction(1, 10**5), Fraction(-2), 10**6),
    ("gelu", 0.3, 3, "u8", 0, 15, Fraction(1, 3), Fraction(0), 2**31 - 1),
    ("gelu_tanh", 3 / 127, 0, "s8", -128, 127, Fraction(1, 4000), Fraction(1, 3), 10**5),
    ("gelu_tanh", 4 / 255, 100, "u8", 0, 255, Fraction(1, 10**6), Fraction(0), 10**7),
    ("silu", 8 / 255, 0, "s8", -128, 127, Fraction(1, 4000), Fraction(1, 5), 10**6),
    ("silu", 0.3 / 127, 7, "s8", -128, 127, Fraction(1, 10**5), Fraction(-1), 10**7),
    ("sigmoid", 1 / 255, 0, "u8", 0, 255, Fraction(1, 10**4), Fraction(0), 10**6),
    ("sigmoid", 1e-3 / 127, 0, "s8", -128, 127, Fraction(1, 10**5), Fraction(-5), 10**6),
    ("tanh", 1 / 127, 0, "s8", -128, 127, Fraction(1, 10**4), Fraction(0), 10**6),
    ("elu", 3 / 127, 1, "s8", -128, 127, Fraction(1, 10**4), Fraction(1), 10**6),
    ("hardswish", 6 / 255, 17, "u8", 0, 255, Fraction(1, 10**4), Fraction(0), 10**6),
    ("leaky_relu", 4 / 127, 0, "s8", -128, 127, Fraction(1, 10**4), Fraction(0), 10**7),
    ("mish", 4 / 127, 3, "s8", -128, 127, Fraction(-1, 10**4), Fraction(1, 3), 10**6),
    ("selu", 3 / 127, 1, "s8", -128, 127, Fraction(1, 10**4), Fraction(-1), 10**6),
    ("hardsigmoid", 1 / 255, 0, "u8", 0, 255, Fraction(-1, 10**4), Fraction(1), 10**6),
    ("softsign", 1 / 127, -5, "s8", -128, 127, Fraction(-1, 10**4), Fraction(0), 10**6),
    ("log_sigmoid", 8 / 255, 255, "u8", 0, 255, Fraction(1, 10**4), Fraction(0), 10**6),
    ("gelu", 8 / 255, 0, "s8", -128, 127, Fraction(-1, 4000), Fraction(1, 7), 10**6),
    ("softplus", 30 / 255, 0, "u8", 0, 255, Fraction(-1, 10**5), Fraction(20), 10**7),
    ("softplus", 0.1 / 255, 0, "u8", 0, 255, Fraction(1, 10**5), Fraction(-4), 10**6),
    ("softplus", 0.01 / 255, 0, "u8", 0, 255, Fraction(1, 10**5), Fraction(-6), 10**6),
    ("softplus", 30 / 255, 0, "u8", 0, 255, Fraction(1, 10**5), Fraction(20), 10**7),
]
# One ratio: the steps are the accumulator's own. Several: a common grid.
RATIOS = {
    "one": (Fraction(1),),
    "channels": (Fraction(1), Fraction(7, 11), Fraction(1, 90)),
    "signed channels": (Fraction(1), Fraction(-7, 11), Fraction(0)),
}


@dataclass(frozen=True)
class Planned:
    """A plan, and the grid on which its steps lie: x = start + u * step."""

    name: str
    target: Tensor
    ratios: list[Fraction]
    biases: list[Fraction]
    bound: int
    rescale: Rescale
    start: Fraction
    step: Fraction

    def real(self, x: Fraction) -> Fraction:
        """The value that the quantiser is given, in codes, before rounding."""
        assert self.target.scale is not None
        return EXACT[self.name](x) / Fraction(self.target.scale) + self.target.zero_point

    def error(self, code: int, x: Fraction) -> Fraction:
        """How far a code is off, beyond half a step."""
        real = min(max(self.real(x), Fraction(self.target.lo)), Fraction(self.target.hi))
        return abs(code - real) - Fraction(1, 2)


def _plan(plan: tuple[Any, ...], channels: str) -> Planned:
    name, scale, zero_point, dtype, lo, hi, ratio, bias, bound = plan
    target = Tensor("y", (1,), DType(dtype), scale, zero_point, lo, hi)
    factors = RATIOS[channels]
    ratios = [ratio * factor for factor in factors]
    biases = [bias + Fraction(i, 3) for i in range(len(factors))]
    rescale = plan_function(FUNCTIONS[name], ratios, biases, target, bound)
    start, step = biases[0], ratios[0]
    if len(factors) > 1:
        # A power of two, from what the multiplier says, and a multiple of it, from what the offset says.
        one = Fraction(2) ** int(rescale.shift[0])
        seen = ratio / (int(rescale.multiplier[0]) / one)
        step = Fraction(2) ** round(math.log2(seen))
        assert abs(seen / step - 1) < Fraction(1, 2**20)
        start = round(bias / step - int(rescale.offset[0]) / one) * step
    return Planned(name, target, ratios, biases, bound, rescale, start, step)


@pytest.mark.parametrize("channels", RATIOS)
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_steps_lie_where_the_exact_function_has_them(plan: tuple[Any, ...], channels: str) -> None:
    """N5, N7: right on both sides of each threshold and turning point, hence, being monotone, in between."""
    planned = _plan(plan, channels)
    thresholds = planned.rescale.thresholds.tolist()
    codes = planned.rescale.codes.tolist()
    assert thresholds == sorted(set(thresholds))
    assert all(a != b for a, b in itertools.pairwise(codes))
    assert -(2**31) <= thresholds[0] <= thresholds[-1] < 2**31
    turns = [
        math.floor((Fraction(p) - planned.start) / planned.step) + near
        for p in FUNCTIONS[planned.name].turning_points
        for near in (-2, -1, 0, 1, 2)
    ]
    # Beyond the last steps the code is that of the ends, as far as any accumulator gets.
    reach = max(map(abs, planned.ratios)) * planned.bound
    ends = [
        (x - planned.start) / planned.step
        for x in (min(planned.biases) - reach, max(planned.biases) + reach)
    ]
    ends.sort()  # a negative ratio turns them round
    chosen = {*thresholds[:8], *thresholds[::11], *thresholds[-8:]}  # the oracle takes its time
    grid = {u for t in chosen for u in (t - 1, t)} | {math.ceil(ends[0]), math.floor(ends[1])}
    grid |= {u for u in turns if ends[0] <= u <= ends[1]}
    for u in sorted(grid):
        code = oracle.step_code(u, thresholds, codes)
        assert planned.error(code, planned.start + u * planned.step) <= NOISE, (u, code)


@pytest.mark.parametrize("channels", RATIOS)
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_accumulators_come_out_right(plan: tuple[Any, ...], channels: str) -> None:
    """From accumulator to code, also next to each threshold: within 2**-20 codes on every row of PLANS."""
    planned = _plan(plan, channels)
    draw = random.Random(2)
    worst = Fraction(-1)
    for channel, (ratio, bias) in enumerate(zip(planned.ratios, planned.biases, strict=True)):
        near = [
            round((planned.start + t * planned.step - bias) / (ratio or 1)) + d
            for t in planned.rescale.thresholds.tolist()[:: 9 + channel]
            for d in (-1, 0, 1)
        ]
        accumulators = [a for a in near if abs(a) <= planned.bound]
        accumulators += [-planned.bound, 0, planned.bound]
        accumulators += [draw.randint(-planned.bound, planned.bound) for _ in range(9)]
        rows = np.zeros((len(accumulators), planned.rescale.channels), np.int64)
        column = channel % planned.rescale.channels
        rows[:, column] = accumulators
        found = planned.rescale.apply(rows)[:, column].tolist()
        for acc, code in zip(accumulators, found, strict=True):
            worst = max(worst, planned.error(code, acc * ratio + bias))
    # With a single ratio there is no rounding but that of float64.
    assert worst <= (NOISE if channels == "one" else Fraction(1, 2**20))


@pytest.mark.parametrize(
    ("name", "scale"),
    [("softplus", s / 255) for s in (8.0, 1.0, 0.1, 0.03, 0.005)]
    + [("gelu", s / 127) for s in (4.0, 0.17, 0.1)]
    + [("silu", s / 127) for s in (4.0, 0.28, 0.18)],
)
def test_the_grid_is_fine_enough_for_small_scales(name: str, scale: float) -> None:
    """N5's bound, half a step of the grid plus what 31 bits of multiplier leave, is at most 2**-20 codes.

    Evaluated at every sixth step of the table, where the slope is what it is there, and without bias, so that the
    accumulator carries the whole argument.
    """
    unsigned = name == "softplus"
    plan = (name, scale, 0, "u8" if unsigned else "s8", 0 if unsigned else -128)
    planned = _plan(
        (*plan, 255 if unsigned else 127, Fraction(1, 10**5), Fraction(0), 10**7), "channels"
    )
    worst = 0.0
    for threshold in planned.rescale.thresholds.tolist()[::6]:
        x = planned.start + threshold * planned.step
        tiny = Fraction(1, 2**60)
        slope = abs(planned.real(x + tiny) - planned.real(x)) / tiny
        worst = max(worst, float(slope * (planned.step / 2 + abs(x) / 2**31)))
    assert worst <= 2.0**-20


def test_one_code_for_every_input() -> None:
    """A threshold that changes nothing, so that C and reference read the codes."""
    target = Tensor("y", (1,), DType.S8, 1e6, 5, -128, 127)
    for ratios in ([Fraction(1, 1000)], [Fraction(1, 1000), Fraction(1, 700)]):
        rescale = plan_function(FUNCTIONS["gelu"], ratios, [Fraction(0)], target, 10**6)
        assert rescale.thresholds.tolist() == [2**31 - 1]
        assert rescale.codes.tolist() == [5, 5]
        rows = np.array([[-(10**6), 0, 10**6]] * len(ratios)).T
        assert set(rescale.apply(rows).flat) == {5}


def test_accumulators_and_ratios_out_of_range() -> None:
    target = Tensor("y", (1,), DType.S8, 0.1, 0, -128, 127)
    with pytest.raises(NumericsError, match="int32 ends"):
        plan_function(FUNCTIONS["silu"], [Fraction(1)], [Fraction(0)], target, 2**31)
    with pytest.raises(NumericsError, match="int32 ends"):
        plan_function(RELU, [Fraction(1)], [Fraction(0)], target, 2**31)


def test_ties_of_an_average() -> None:
    """The mean of 6 codes has ties; an ELU leaves positive ones as they are: half to even, all of them."""
    target = Tensor("y", (1,), DType.S8, 1.0, 0, -128, 127)
    rescale = plan_function(FUNCTIONS["elu"], [Fraction(1, 6)], [Fraction(0)], target, 6 * 128)
    accumulators = list(range(0, 6 * 127, 3))
    expected = [oracle.half_even(acc, 6) for acc in accumulators]
    assert sum(acc % 6 == 3 for acc in accumulators) > 100
    assert rescale.apply(np.array(accumulators)).tolist() == expected


def test_relu_needs_no_steps() -> None:
    """N4: relu raises the lower bound to the zero point."""
    target = Tensor("y", (1,), DType.S8, 0.5, -3, -128, 127)
    rescale = plan_function(RELU, [Fraction(1, 4)], [Fraction(0)], target, 100)
    assert rescale.thresholds.size == 0
    assert (rescale.lo, rescale.hi) == (-3, 127)
    assert rescale.apply(np.array([-100, -1, 0, 1, 2, 3, 4])).tolist() == [
        -3,
        -3,
        -3,
        -2,
        -2,
        -2,
        -1,
    ]
    plain = plan_function(IDENTITY, [Fraction(1, 4)], [Fraction(0)], target, 100)
    assert (plain.lo, plain.hi) == (-128, 127)
