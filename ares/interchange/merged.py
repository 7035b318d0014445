"""What the steps of a Rescale (N5) were planned from: a ratio and an addend, or a function on a grid.

A Graph holds steps where ties are real but no multiplier can hold the ratio, and where a function stands between the
sum and its quantiser. Formats say neither as steps. What they came from is looked for, and found only where planning it
again gives the same steps: then both mean the same code for every sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor
from ares.numerics import FUNCTIONS, Rescale
from ares.numerics.functions import Function, leaky_relu
from ares.numerics.tables import Grid, steps_on_grid

_CANDIDATES = (
    *("silu", "gelu", "gelu_tanh", "sigmoid", "tanh", "hardswish", "hardsigmoid"),
    *("mish", "elu", "leaky_relu", "softplus", "selu", "softsign", "log_sigmoid"),
)
_FARTHEST = 2.0**20
# What rounding may move a step by, in parts of the distance to another.
_NEAR = 2.0**-16
# As many as bring a range of that to neighbours in float64, next to zero too.
_HALVINGS = 90
# Slopes of a leaky ReLU are decimal numbers.
_SLOPES = 1000


def ratio_and_addend(
    rescale: Rescale, target: Tensor, unit: Fraction
) -> tuple[Fraction, Fraction] | None:
    """(r, a) with code = clamp(round(sum * r + a)) for all sums, r / unit and a as simple as can be; else None."""
    firsts, codes = rescale.thresholds.tolist(), rescale.codes.tolist()
    if len(firsts) < 2 or any(behind <= code for code, behind in pairwise(codes)):
        return None
    half = Fraction(1, 2)
    line = _line(
        [(f, b - half, a + half) for f, (a, b) in zip(firsts, pairwise(codes), strict=True)], unit
    )
    if line is None:
        return None
    ratio, addend = line
    found = [round(total * ratio + addend) for first in firsts for total in (first - 1, first)]
    meant = [code for pair in pairwise(codes) for code in pair]
    lo, hi = codes[0], codes[-1]
    is_right = [min(max(code, lo), hi) for code in found] == meant
    return (ratio, addend) if is_right and _ends_alike(lo, hi, rescale, target) else None


def _ends_alike(lo: int, hi: int, rescale: Rescale, target: Tensor) -> bool:
    """Whether codes that no sum reaches are all that is missing at the ends."""
    return rescale.lo <= lo and hi <= rescale.hi and target.lo <= lo


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The number of the smallest denominator within [low, high]."""
    if low <= 0 <= high:
        return Fraction(0)
    if high < 0:
        return -_simplest(-high, -low)
    whole = math.ceil(low)
    if whole <= high:
        return Fraction(whole)
    floor = math.floor(low)
    return floor + 1 / _simplest(1 / (high - floor), 1 / (low - floor))


def function_and_grid(rescale: Rescale, target: Tensor) -> tuple[str, Fraction, Fraction] | None:
    """The name of the function, and the argument as start + step * rounded sum: (name, start, step).

    Steps that all channels share lie on a grid of a power of two (`ares.numerics.tables.common_grid`).
    """
    for function in _candidates(rescale):
        found = _on_grid(function, rescale, target)
        if found is not None:
            return function.name, found.start, found.step
    return None


def _candidates(rescale: Rescale) -> Sequence[Function]:
    """The functions that are looked for, with a leaky ReLU of the slope that the outer steps have."""
    left, right = (
        int(np.diff(rescale.thresholds[ends].astype(np.int64)).sum())
        for ends in (slice(2), slice(-2, None))
    )
    slope = Fraction(right, left).limit_denominator(_SLOPES) if left else Fraction(0)
    # A format is told the function's name: one without all digits of the slope would say another function.
    is_told = 0 < slope < 1 and float(f"{float(slope):g}") == float(slope)
    own = [leaky_relu(float(slope))] if is_told else []
    return [*(FUNCTIONS[name] for name in _CANDIDATES), *own]


def _on_grid(function: Function, rescale: Rescale, target: Tensor) -> Grid | None:
    firsts, codes = rescale.thresholds.tolist(), rescale.codes.tolist()
    tail = _rising_tail(codes)
    if len(tail) < 2:
        return None
    first, last = tail[0], tail[-1]
    arguments = _arguments(function, [codes[k + 1] for k in (first, last)], target)
    apart = float(arguments[1] - arguments[0]) / (firsts[last] - firsts[first])
    if not apart > 0:
        return None
    step = Fraction(2) ** round(math.log2(apart))
    half = tail[len(tail) // 2]
    between = _arguments(function, [codes[half + 1]], target)[0] - arguments[0]
    # Steps of another function lie elsewhere.
    if not abs(between - (firsts[half] - firsts[first]) * float(step)) <= abs(between) * _NEAR:
        return None
    middle = round(Fraction(arguments[1]) / step) - firsts[last]
    for start in (middle, middle - 1, middle + 1):
        grid = Grid(start * step, step, firsts[0] - 1, firsts[-1] + 1)
        if steps_on_grid(function, grid, target) == (firsts, codes):
            return grid
    return None


def _rising_tail(codes: Sequence[int]) -> Sequence[int]:
    """The steps from which on codes rise: behind its last turning point each function does."""
    falling = [k for k, (code, behind) in enumerate(pairwise(codes)) if behind <= code]
    return range(falling[-1] + 1 if falling else 0, len(codes) - 1)


def _begin(function: Function) -> float:
    """Where its last rising piece begins; the dip that PyTorch's softplus has begins none."""
    if not function.turning_points:
        return -_FARTHEST
    point = max(function.turning_points)
    before, there = function.evaluate(np.array([point - 1.0, point]))
    return -_FARTHEST if before < there else point


def _arguments(function: Function, codes: Sequence[int], target: Tensor) -> npt.NDArray[np.float64]:
    """Where a function comes to the edge below each code, behind its last turning point; NaN where it does not."""
    edges = (np.array(codes) - 0.5 - target.zero_point) * float(target.scale or 1.0)
    low = np.full(len(codes), _begin(function))
    high = np.full(len(codes), _FARTHEST)
    is_inside = (function.evaluate(low) <= edges) & (edges <= function.evaluate(high))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_below = function.evaluate(middle) < edges
        low, high = np.where(is_below, middle, low), np.where(is_below, high, middle)
    return np.where(is_inside, high, np.nan)


def function_on_sums(
    rescale: Rescale, target: Tensor, unit: Fraction
) -> tuple[str, Fraction, Fraction] | None:
    """The name of the function, and its argument as sum * ratio + addend, in output codes; else None."""
    scale = Fraction(target.scale or 1.0)
    for function in _candidates(rescale):
        found = _argument_of_sums(function, rescale, target, unit * scale)
        if found is not None:
            return function.name, found[0] / scale, found[1] / scale
    return None


def _argument_of_sums(
    function: Function, rescale: Rescale, target: Tensor, unit: Fraction
) -> tuple[Fraction, Fraction] | None:
    """(ratio, addend), both real, for which the function gives these steps."""
    firsts, codes = rescale.thresholds.tolist(), rescale.codes.tolist()
    tail = _rising_tail(codes)
    low = _arguments(function, [codes[k + 1] for k in tail], target).tolist()
    high = _arguments(function, [codes[k] + 1 for k in tail], target).tolist()
    places = [
        (firsts[k], Fraction(behind), Fraction(ahead))
        for k, behind, ahead in zip(tail, low, high, strict=True)
        if math.isfinite(behind) and math.isfinite(ahead)
    ]
    lines = (_through_zero(places, unit), _line(places, unit)) if len(places) > 1 else ()
    for ratio, addend in filter(None, lines):
        grid = Grid(addend, ratio, firsts[0] - 1, firsts[-1] + 1)
        if steps_on_grid(function, grid, target) == (firsts, codes):
            return ratio, addend
    return None


def _through_zero(
    places: Sequence[tuple[int, Fraction, Fraction]], unit: Fraction
) -> tuple[Fraction, Fraction] | None:
    """As `_line`, with nothing added: without a bias that is what it was, and its ratio is known best."""
    low, high = Fraction(0), None
    for first, least, most in places:
        # total * r >= edge, and total * r <= edge.
        for total, edge, is_least in ((first, least, True), (first - 1, most, False)):
            if total == 0:
                if (edge > 0) == is_least and edge != 0:
                    return None
            elif (total > 0) == is_least:
                low = max(low, edge / total)
            else:
                high = edge / total if high is None else min(high, edge / total)
    if high is None or not 0 < high >= low:
        return None
    ratio = _simplest(low / unit, high / unit) * unit
    return (ratio, Fraction(0)) if ratio else None


def _line(
    places: Sequence[tuple[int, Fraction, Fraction]], unit: Fraction
) -> tuple[Fraction, Fraction] | None:
    """(r, a), r / unit and a as simple as can be; None if there are none.

    Each place is (first, least, most): first * r + a is no smaller than `least`, (first - 1) * r + a no larger than
    `most`.
    """
    first, last = places[0], places[-1]
    pairs = [(first, each) for each in places[1:]] + [(each, last) for each in places[1:-1]]
    runs = [(behind[0] - ahead[0], ahead, behind) for ahead, behind in pairs]
    low = max((behind[1] - ahead[2]) / (run + 1) for run, ahead, behind in runs)
    high = min(
        ((behind[2] - ahead[1]) / (run - 1) for run, ahead, behind in runs if run > 1),
        default=None,
    )
    if high is None or not 0 < high >= low:
        return None
    ratio = _simplest(max(low, Fraction(0)) / unit, high / unit) * unit
    least = max(edge - total * ratio for total, edge, _ in places)
    most = min(edge - (total - 1) * ratio for total, _, edge in places)
    return (ratio, _simplest(least, most)) if ratio and least <= most else None
