"""Clauses N7 and N8: functions as data.

`lookup_table` maps every 8-bit code to a code, correctly rounded. `plan_function` builds the Rescale of a
function that is applied to an accumulator with no quantiser in between: the accumulator goes to a common fine
grid of int32, the steps of the function on that grid are stored (NUMERICS_NOTES section 3).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor, constant
from ares.numerics.accumulate import NumericsError
from ares.numerics.functions import IDENTITY, RELU, Function
from ares.numerics.rescale import Rescale, plan_multipliers, plan_rescale

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def lookup_table(function: Function, source: Tensor, target: Tensor) -> npt.NDArray[np.generic]:
    """uint8[256]: the output code's byte for every byte that an input code can be (N8).

    Identity and ReLU are rounded from exact rationals, other functions from float64.
    """
    if source.scale is None or target.scale is None:
        raise NumericsError("a table needs scales on both sides")
    raw = np.arange(256, dtype=np.uint8)
    codes = raw.view(source.dtype.numpy).astype(np.int64)
    if function in (IDENTITY, RELU):
        ratio = Fraction(source.scale) / Fraction(target.scale)
        steps = [int(code) - source.zero_point for code in codes]
        if function is RELU:
            steps = [max(step, 0) for step in steps]
        rounded = np.array(
            [
                max(target.lo, min(target.hi, round(step * ratio + target.zero_point)))
                for step in steps
            ]
        )
    else:
        real = (codes - source.zero_point).astype(np.float64) * source.scale
        rounded = _codes_of(function, real, target)
    return constant(rounded.astype(np.int64).astype(target.dtype.numpy).view(np.uint8), np.uint8)


def _codes_of(
    function: Function, x: npt.NDArray[np.float64], target: Tensor
) -> npt.NDArray[np.int64]:
    """The codes that the model means for real arguments `x`."""
    assert target.scale is not None
    with np.errstate(over="ignore"):
        value = function.evaluate(x) / target.scale + target.zero_point
    return np.clip(np.rint(value), target.lo, target.hi).astype(np.int64)


def plan_function(
    function: Function,
    ratios: Sequence[Fraction],
    biases: Sequence[Fraction],
    target: Tensor,
    accumulator_bound: int,
) -> Rescale:
    """Rescale for code = quantise(f(acc * ratio + bias)), where ratio and bias are REAL (not in codes).

    The plain cases (identity, ReLU) need no steps. Otherwise the grid step is the finest power of two
    at which int32 still reaches every argument that can change the code.
    """
    if target.scale is None:
        raise NumericsError("the output of a rescale needs a scale")
    scale = Fraction(target.scale)
    if function in (IDENTITY, RELU):
        lo = max(target.lo, target.zero_point) if function is RELU else target.lo
        return plan_rescale(
            [ratio / scale for ratio in ratios],
            [bias / scale for bias in biases],
            target.zero_point,
            lo,
            target.hi,
            accumulator_bound,
        )
    reach = max(ratios) * accumulator_bound + max(abs(bias) for bias in biases)
    exponent = _grid_exponent(function, float(reach), target)
    unit = Fraction(2) ** exponent
    plain = plan_multipliers(
        [ratio / unit for ratio in ratios],
        [bias / unit for bias in biases],
        0,
        target.lo,
        target.hi,
        accumulator_bound,
    )
    thresholds, codes = _steps(function, float(unit), target)
    return dataclasses.replace(
        plain, thresholds=constant(thresholds, np.int32), codes=constant(codes, np.int16)
    )


def _grid_exponent(function: Function, reach: float, target: Tensor) -> int:
    """e of the grid step 2**e: beyond 2**(e + 31) the code no longer changes, or no argument gets there."""
    ends = _codes_of(function, np.array([-1e300, 1e300]), target)
    furthest = max((abs(point) for point in function.turning_points), default=0.0)
    for power in range(-8, 64):
        edge = math.ldexp(1.0, power)
        settled = edge > furthest and np.array_equal(
            _codes_of(function, np.array([-edge, edge]), target), ends
        )
        if settled or edge >= reach:
            return power - 31
    raise NumericsError(f"{function.name} of arguments up to {reach:.3g} does not settle")


def _steps(function: Function, unit: float, target: Tensor) -> tuple[list[int], list[int]]:
    """Breakpoints T and codes C on the grid: code(u) = C[number of T <= u], for every int32 u."""
    edges = [INT32_MIN]
    for point in function.turning_points:
        cut = math.floor(point / unit)
        if INT32_MIN < cut < INT32_MAX:
            # Both grid neighbours of a turning point end a piece, so each piece is monotone.
            edges += [cut, cut + 1]
    edges.append(INT32_MAX)
    first = int(_codes_of(function, np.array([INT32_MIN * unit]), target)[0])
    breaks: dict[int, int] = {}
    current = first
    for left, right in itertools.pairwise(edges):
        start, end = (int(c) for c in _codes_of(function, np.array([left, right]) * unit, target))
        if start != current:
            breaks[left] = start
        current = end
        breaks.update(_monotone_steps(function, unit, target, left, right, start, end))
    return sorted(breaks), [first, *(breaks[cut] for cut in sorted(breaks))]


def _monotone_steps(
    function: Function, unit: float, target: Tensor, left: int, right: int, start: int, end: int
) -> dict[int, int]:
    """First u in (left, right] at which each code between `start` and `end` is reached; bisection on integers."""
    if start == end:
        return {}
    direction = 1 if end > start else -1
    wanted = np.arange(start + direction, end + direction, direction, dtype=np.int64)
    low = np.full(wanted.shape, left, np.int64)  # not reached here
    high = np.full(wanted.shape, right, np.int64)  # reached here
    while np.any(high - low > 1):
        middle = (low + high) >> 1
        code = _codes_of(function, middle.astype(np.float64) * unit, target)
        reached = (code - wanted) * direction >= 0
        high = np.where(reached, middle, high)
        low = np.where(reached, low, middle)
    # Several codes may share a first u where f is steep: the last of them is the code there.
    return {int(u): int(code) for u, code in zip(high, wanted, strict=True)}
