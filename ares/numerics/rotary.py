"""Clause N14: pairs of codes are rotated by an angle of their position, with one rounding.

    acc  = a * C - b * S,   acc' = a * S + b * C             C, S = round(2**30 * cos), round(2**30 * sin)
    code = clamp(round(acc * M / 2**(t + 32) + z))           M / 2**(t + 32) ~ ratio / 2**30

|acc| < 2**39 and M < 2**31: the product has up to 70 bits and is kept whole, in two parts. The ratio of the scales
stays out of the tables, which so are the same for every layer. C: `ares_rotary` in `runtime/inc/rotary.h`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import frozen_array
from ares.numerics.accumulate import INT32_MAX, NumericsError

_ONE = 2.0**30
_LARGEST_SHIFT = 50


def rotation_tables(
    length: int, head_dim: int, base: float
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(cos, sin) int32 [length, head_dim / 2] in units of 2**-30.

    Position p turns pair i by p * base ** (-2i / head_dim).
    """
    speeds = np.array([base ** (-2.0 * pair / head_dim) for pair in range(head_dim // 2)])
    angles = np.arange(length, dtype=np.float64)[:, None] * speeds
    cos, sin = (np.rint(_ONE * function(angles)).astype(np.int64) for function in (np.cos, np.sin))
    return frozen_array(cos, np.int32), frozen_array(sin, np.int32)


def plan_rotation(ratio: Fraction) -> tuple[int, int]:
    """(M, t) for `ratio`, the input's scale in units of the output's: the largest t with M < 2**31 (N14)."""
    for shift in range(_LARGEST_SHIFT, 0, -1):
        multiplier = round(ratio * 2 ** (shift + 2))
        if multiplier <= INT32_MAX:
            return multiplier, shift
    raise NumericsError(f"the input's scale is {float(ratio):.3g} times the output's: too large")
