"""Clauses N7 and N8: functions as data.

`lookup_table` maps every 8-bit code to a code, correctly rounded. `plan_function` builds the Rescale of a
function that is applied to an accumulator with no quantiser in between: the accumulator goes to a common fine
grid of int32, the steps of the function on that grid are stored.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor, frozen_array
from ares.numerics.accumulate import NumericsError
from ares.numerics.functions import Function, affine, compose
from ares.numerics.rescale import Rescale, plan_multipliers, plan_rescale

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def lookup_table(
    function: Function,
    source: Tensor,
    target: Tensor,
    factor: Fraction = Fraction(1),
    addend: Fraction = Fraction(0),
) -> npt.NDArray[np.uint8]:
    """uint8[256]: the code of function(x * factor + addend) for every byte that an input code can be (N8).

    What only limits its argument is rounded from exact rationals, other functions from float64.
    """
    if source.scale is None or target.scale is None:
        raise NumericsError("a table needs scales on both sides")
    raw = np.arange(256, dtype=np.uint8)
    codes = raw.view(source.dtype.numpy).astype(np.int64)
    steps = codes - source.zero_point
    if function.clips is not None:
        lo, hi = code_limits(function, target)
        ratio = Fraction(source.scale) * factor / Fraction(target.scale)
        start = addend / Fraction(target.scale) + target.zero_point
        rounded = np.array([max(lo, min(hi, round(int(step) * ratio + start))) for step in steps])
    else:
        real = steps.astype(np.float64) * source.scale
        rounded = _codes_of(function, real * float(factor) + float(addend), target)
    return frozen_array(
        rounded.astype(np.int64).astype(target.dtype.numpy).view(np.uint8), np.uint8
    )


def code_limits(function: Function, target: Tensor) -> tuple[int, int]:
    """The smallest and the largest code of `target` behind a function that limits its argument."""
    assert function.clips is not None
    assert target.scale is not None
    scale = Fraction(target.scale)
    ends = [
        own
        if limit is None
        else min(max(round(limit / scale + target.zero_point), target.lo), target.hi)
        for limit, own in zip(function.clips, (target.lo, target.hi), strict=True)
    ]
    return ends[0], ends[1]


def _codes_of(
    function: Function, x: npt.NDArray[np.float64], target: Tensor
) -> npt.NDArray[np.int64]:
    """The codes that the model means for real arguments `x`."""
    assert target.scale is not None
    with np.errstate(over="ignore"):
        value = function.evaluate(x) / target.scale + target.zero_point
    return np.clip(np.rint(value), target.lo, target.hi).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Grid:
    """The arguments that the steps are given: x = start + u * step, for integers u in [left, right]."""

    start: Fraction
    step: Fraction
    left: int
    right: int

    def real(self, u: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        # Dividing last keeps quotients that float64 can hold (averages) exact.
        scaled = u.astype(np.float64) * float(self.step.numerator) / float(self.step.denominator)
        x = scaled + float(self.start)
        # Where the sum cancels only exact numbers say on which side of zero it is.
        for i in np.flatnonzero(np.abs(x) < abs(float(self.start)) * 2.0**-20):
            x[i] = float(self.start + int(u[i]) * self.step)
        return x

    def last_before(self, point: float) -> int:
        """The largest u with x <= point."""
        return math.floor((Fraction(point) - self.start) / self.step)


def plan_function(
    function: Function,
    ratios: Sequence[Fraction],
    biases: Sequence[Fraction],
    target: Tensor,
    accumulator_bound: int,
) -> Rescale:
    """Rescale for code = quantise(f(acc * ratio + bias)), where ratio and bias are REAL (not in codes).

    What only limits its argument needs no steps. With one ratio and bias the steps are those of the accumulator
    itself. Otherwise all channels share a grid, the finest whose int32 reach every argument at which the code changes.
    """
    if target.scale is None:
        raise NumericsError("the output of a rescale needs a scale")
    if function.clips is not None:
        scale = Fraction(target.scale)
        lo, hi = code_limits(function, target)
        return plan_rescale(
            [ratio / scale for ratio in ratios],
            [bias / scale for bias in biases],
            target.zero_point,
            lo,
            hi,
            accumulator_bound,
        )
    if accumulator_bound > INT32_MAX:
        raise NumericsError(f"accumulator may reach {accumulator_bound}, int32 ends at {INT32_MAX}")
    if len(set(ratios)) == len(set(biases)) == 1:
        # The multiplier is a power of two: u is the accumulator.
        plain = plan_multipliers([Fraction(1)], [Fraction(0)], 0, target.lo, target.hi, INT32_MAX)
        thresholds, codes = steps_of_channel(
            function, ratios[0], biases[0], target, accumulator_bound
        )
    else:
        grid = common_grid(function, ratios, biases, target, accumulator_bound)
        plain = plan_multipliers(
            [ratio / grid.step for ratio in ratios],
            [(bias - grid.start) / grid.step for bias in biases],
            0,
            target.lo,
            target.hi,
            accumulator_bound,
        )
        thresholds, codes = steps_on_grid(function, grid, target)
    return with_steps(plain, thresholds, codes)


def with_steps(plain: Rescale, thresholds: list[int], codes: list[int]) -> Rescale:
    """The same constants with the steps of N5, which all channels share."""
    if not thresholds:
        # One code for every input: a threshold that changes nothing says so.
        thresholds, codes = [INT32_MAX], codes * 2
    return dataclasses.replace(
        plain, thresholds=frozen_array(thresholds, np.int32), codes=frozen_array(codes, np.int16)
    )


def steps_of_channel(
    function: Function, ratio: Fraction, bias: Fraction, target: Tensor, bound: int
) -> tuple[list[int], list[int]]:
    """Breakpoints and codes of f(acc * ratio + bias) on the accumulator itself, |acc| <= bound."""
    if not ratio:
        return [], [int(_codes_of(function, np.array([float(bias)]), target)[0])]
    if ratio < 0:
        mirrored = compose(affine(Fraction(-1), Fraction(0)), function)
        return steps_of_channel(mirrored, -ratio, -bias, target, bound)
    return steps_on_grid(function, Grid(bias, ratio, -bound, bound), target)


def common_grid(
    function: Function,
    ratios: Sequence[Fraction],
    biases: Sequence[Fraction],
    target: Tensor,
    accumulator_bound: int,
) -> Grid:
    """The grid 2**e * (u0 + u) of all channels: from the first argument at which the code changes to the last."""
    largest = max(map(abs, ratios))
    reach = largest * accumulator_bound
    low, high = _changes(function, float(min(biases) - reach), float(max(biases) + reach), target)
    # Finer than 2**-34 of an argument is in vain: the multiplier has 31 bits. Coarser than 2**-29 of a ratio, so
    # that it stays below 2**30.
    exponent = max(
        math.frexp(high - low)[1] - 32,
        math.frexp(max(abs(low), abs(high)))[1] - 34,
        math.frexp(float(largest))[1] - 29,
    )
    while True:
        unit = Fraction(2) ** exponent
        first, last = math.floor(Fraction(low) / unit), math.ceil(Fraction(high) / unit)
        middle = (first + last) // 2
        if first - 1 - middle >= INT32_MIN and last + 1 - middle <= INT32_MAX:
            return Grid(middle * unit, unit, first - 1 - middle, last + 1 - middle)
        exponent += 1


def _changes(function: Function, low: float, high: float, target: Tensor) -> tuple[float, float]:
    """The arguments of [low, high] outside of which the code is that of the ends."""
    inside = [point for point in function.turning_points if low < point < high]
    edges = [low, *(edge for p in inside for edge in (p, math.nextafter(p, math.inf))), high]
    return _settled(function, edges, target), _settled(function, edges[::-1], target)


def _settled(function: Function, edges: Sequence[float], target: Tensor) -> float:
    """The last argument, counted from the first edge, up to which the code stays; pieces are monotone."""
    codes = _codes_of(function, np.array(edges), target)
    other = np.flatnonzero(codes != codes[0])
    if not other.size:
        return edges[0]
    first = int(other[0])
    stays, changes = edges[first - 1], edges[first]
    while (middle := (stays + changes) / 2) not in (stays, changes):
        if _codes_of(function, np.array([middle]), target)[0] == codes[0]:
            stays = middle
        else:
            changes = middle
    return stays


def steps_on_grid(function: Function, grid: Grid, target: Tensor) -> tuple[list[int], list[int]]:
    """Breakpoints T and codes C on the grid: code(u) = C[number of T <= u], for every u of the grid."""
    edges = [grid.left]
    for point in function.turning_points:
        cut = grid.last_before(point)
        if grid.left <= cut < grid.right:
            # Both grid neighbours of a turning point end a piece, so each piece is monotone.
            edges += [cut, cut + 1]
    edges.append(grid.right)
    ends = [int(c) for c in _codes_of(function, grid.real(np.array(edges)), target)]
    breaks: dict[int, int] = {}
    for piece, codes in zip(itertools.pairwise(edges), itertools.pairwise(ends), strict=True):
        breaks.update(_monotone_steps(function, grid, target, piece, codes))
    return sorted(breaks), [ends[0], *(breaks[cut] for cut in sorted(breaks))]


def _monotone_steps(
    function: Function, grid: Grid, target: Tensor, piece: tuple[int, int], codes: tuple[int, int]
) -> dict[int, int]:
    """First u of a piece at which each code between those of its ends is reached; bisection on integers."""
    (left, right), (start, end) = piece, codes
    if start == end:
        return {}
    direction = 1 if end > start else -1
    wanted = np.arange(start + direction, end + direction, direction, dtype=np.int64)
    low = np.full(wanted.shape, left, np.int64)  # not reached here
    high = np.full(wanted.shape, right, np.int64)  # reached here
    while np.any(high - low > 1):
        middle = (low + high) >> 1
        code = _codes_of(function, grid.real(middle), target)
        reached = (code - wanted) * direction >= 0
        high = np.where(reached, middle, high)
        low = np.where(reached, low, middle)
    # Several codes may share a first u where f is steep: the last of them is the code there.
    return {int(u): int(code) for u, code in zip(high, wanted, strict=True)}
