"""N7: functions evaluated at extraction are right to float64, and so are their steps on the accumulator grid."""

from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import DType, Tensor
from ares.numerics import FUNCTIONS, IDENTITY, RELU, Rescale, compose, plan_function
from tests.numerics import oracle

NOISE = Fraction(1, 2**40)  # float64 against exact, in codes
EXACT = oracle.FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_are_right_to_float64(name: str) -> None:
    function = FUNCTIONS[name]
    draw = random.Random(1)
    points = [0.0, -0.0, *function.turning_points, 0.5, -0.5, 3.0, -8.0, -16.5, 40.0, -40.0]
    points += [draw.uniform(-8, 8) for _ in range(300)] + [
        draw.uniform(-1, 1) / 2**20 for _ in range(20)
    ]
    for x, found in zip(points, function.evaluate(np.array(points)).tolist(), strict=True):
        exact = EXACT[name](Fraction(x))
        # Relative to the argument: in the left tail of gelu_tanh, 1 + tanh cancels.
        assert abs(Fraction(found) - exact) <= abs(Fraction(x)) / 2**51


@pytest.mark.parametrize("name", FUNCTIONS)
def test_between_turning_points_the_function_is_monotone(name: str) -> None:
    function, exact = FUNCTIONS[name], EXACT[name]
    near = Fraction(1, 10**12)
    for point in function.turning_points:
        middle = Fraction(point)
        assert exact(middle - near) > exact(middle) < exact(middle + near)
    corners = [Fraction(-16), *(Fraction(p) for p in function.turning_points), Fraction(16)]
    for left, right in itertools.pairwise(corners):
        values = [exact(left + (right - left) * i / 97) for i in range(98)]
        rises = exact(right) >= exact(left)
        assert values == sorted(values, reverse=not rises)
    assert function.is_non_decreasing == (not function.turning_points)


def test_compose() -> None:
    gelu = FUNCTIONS["gelu"]
    assert compose(IDENTITY, gelu) is gelu
    assert compose(gelu, IDENTITY) is gelu
    assert compose(RELU, RELU) is RELU
    both = compose(gelu, RELU)
    assert both.evaluate(np.array([-1.0, 2.0])).tolist() == [0.0, gelu.evaluate(np.array([2.0]))[0]]
    with pytest.raises(ValueError, match="not monotone"):
        compose(RELU, gelu)


# (function, scale, zero point, type, lo, hi, ratio of the accumulator in real units, bias, bound)
PLANS = [
    ("gelu", 8 / 255, 0, "s8", -128, 127, Fraction(1, 4000), Fraction(0), 10**6),
    ("gelu", 2.0**-5, 11, "u8", 0, 255, Fraction(1, 2**13), Fraction(1, 7), 2**20),
    ("gelu", 0.17 / 127, -1, "s8", -128, 127, Fraction(1, 10**5), Fraction(-2), 10**6),
    ("gelu", 0.3, 3, "u8", 0, 15, Fraction(1, 3), Fraction(0), 2**31 - 1),
    ("gelu_tanh", 3 / 127, 0, "s8", -128, 127, Fraction(1, 4000), Fraction(1, 3), 10**5),
    ("gelu_tanh", 4 / 255, 100, "u8", 0, 255, Fraction(1, 10**6), Fraction(0), 10**7),
]


def _target(plan: tuple[object, ...]) -> Tensor:
    _, scale, zero_point, dtype, lo, hi, *_ = plan
    return Tensor("y", (1,), DType(dtype), scale, zero_point, lo, hi)  # type: ignore[arg-type]


def _plan(plan: tuple[object, ...]) -> Rescale:
    name, *_, ratio, bias, bound = plan
    return plan_function(FUNCTIONS[name], [ratio], [bias], _target(plan), bound)  # type: ignore[index, list-item, arg-type]


def _unit(rescale: Rescale, ratio: Fraction) -> Fraction:
    """The step of the grid, a power of two, from what the accumulator's multiplier says."""
    seen = ratio / Fraction(int(rescale.multiplier[0]), 2 ** int(rescale.shift[0]))
    unit = Fraction(2) ** round(math.log2(seen))
    assert abs(seen / unit - 1) < Fraction(1, 2**20)
    return unit


def _real(name: str, x: Fraction, target: Tensor) -> Fraction:
    """The value that the quantiser is given, in codes, before rounding."""
    assert target.scale is not None
    return EXACT[name](x) / Fraction(target.scale) + target.zero_point


def _is_right(code: int, real: Fraction, target: Tensor, slack: Fraction) -> bool:
    clamped = min(max(real, Fraction(target.lo)), Fraction(target.hi))
    return abs(code - clamped) <= Fraction(1, 2) + slack


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_steps_lie_where_the_exact_function_has_them(plan: tuple[object, ...]) -> None:
    """N5, N7: right on both sides of each threshold and turning point, hence, being monotone, in between."""
    name, ratio, target, rescale = str(plan[0]), plan[6], _target(plan), _plan(plan)
    assert isinstance(ratio, Fraction)
    unit = _unit(rescale, ratio)
    thresholds, codes = rescale.thresholds.tolist(), rescale.codes.tolist()
    assert thresholds == sorted(set(thresholds))
    assert all(a != b for a, b in itertools.pairwise(codes))
    turns = [
        int(Fraction(p) / unit) + near
        for p in FUNCTIONS[name].turning_points
        for near in (-2, -1, 0, 1)
    ]
    grid = sorted({u for t in thresholds for u in (t - 1, t)} | set(turns) | {-(2**31), 2**31 - 1})
    for u in grid:
        code = oracle.step_code(u, thresholds, codes)
        assert _is_right(code, _real(name, u * unit, target), target, NOISE), (u, code)
    # Beyond the grid the code is that of its ends.
    far = 2**20 * Fraction(2**31) * unit
    for x, code in ((-far, codes[0]), (far, codes[-1])):
        reach = plan[6] * plan[8] + abs(plan[7])  # type: ignore[operator, arg-type]
        if reach >= 2**31 * unit:
            assert _is_right(code, _real(name, x, target), target, NOISE)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_accumulators_come_out_right(plan: tuple[object, ...]) -> None:
    """From accumulator to code, also next to each threshold, within eps of ares/ops/conv2d.py and the grid."""
    name, target, rescale = str(plan[0]), _target(plan), _plan(plan)
    ratio, bias, bound = plan[6:]
    assert isinstance(ratio, Fraction)
    assert isinstance(bias, Fraction)
    assert isinstance(bound, int)
    assert target.scale is not None
    unit = _unit(rescale, ratio)
    draw = random.Random(2)
    near = [int((t * unit - bias) / ratio) + d for t in rescale.thresholds.tolist() for d in (0, 1)]
    accumulators = [a for a in near if abs(a) <= bound][:400]
    accumulators += [-bound, 0, bound] + [draw.randint(-bound, bound) for _ in range(100)]
    # |f'| < 1.13; half a step of the grid, and the multiplier's relative 2**-31 of arguments up to 2**31 steps.
    slack = Fraction(113, 100) * Fraction(3, 2) * unit / Fraction(target.scale) + NOISE
    for acc, code in zip(accumulators, rescale.apply(np.array(accumulators)).tolist(), strict=True):
        assert _is_right(code, _real(name, acc * ratio + bias, target), target, slack), acc


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
