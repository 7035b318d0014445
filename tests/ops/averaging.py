"""Averages whose channels have constants of their own, in Fractions: what the oracles of all averages share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor
from ares.numerics import Rescale, plan_rescale
from tests.ops.reaching import assert_reaches

# What one unit of a sum is worth in codes, channel by channel in turn: as scales and a BatchNorm make it.
UNITS = (Fraction(1, 4), Fraction(-1, 8), Fraction(3, 16), Fraction(0), Fraction(-3, 2))
REACHED = ("tie", "low clip", "high clip", "negative", "positive")


def sums_over(x: npt.NDArray[Any], places: Sequence[Sequence[range]], zero_point: int) -> Any:
    """Python integers [1, C, windows...]; `places`: for each axis behind the channels what every window sees of it."""
    counts = [len(windows) for windows in places]
    sums = np.zeros((*x.shape[:2], *counts), object)
    for channel, at in product(range(x.shape[1]), product(*map(range, counts))):
        seen = product(*(places[axis][i] for axis, i in enumerate(at)))
        sums[0, channel, *at] = sum(int(x[0, channel, *place]) - zero_point for place in seen)
    return sums


def answers(sums: Any, axis: int, target: Tensor, bound: int) -> tuple[Rescale, npt.NDArray[Any]]:
    """The constants, one a channel along `axis`, and the codes; the case must reach REACHED."""
    units = [UNITS[channel % len(UNITS)] for channel in range(sums.shape[axis])]
    shape = [1] * sums.ndim
    shape[axis] = -1
    reals = sums * np.array(units, object).reshape(shape) + target.zero_point
    assert_reaches(REACHED, {}, reals.flat, target)
    codes = [max(target.lo, min(target.hi, round(real))) for real in reals.flat]
    rescale = plan_rescale(units, [Fraction(0)], target.zero_point, target.lo, target.hi, bound)
    assert rescale.channels == len(units)
    return rescale, np.array(codes, np.int64).reshape(sums.shape)
