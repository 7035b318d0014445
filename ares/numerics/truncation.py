"""Clause N18: bits are cut off an exact accumulator, as Brevitas' truncation quantisers do it.

    code = clamp(whole((acc + addend) / 2**shift))

`whole` is one of `ROUNDINGS`. Rounding down, up and half to even is N3 with dyadic constants, which are exact; what
treats the signs apart is steps on the accumulator itself (N5). C: `ares_rescale_apply` in `runtime/inc/numerics.h`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from ares.ir import frozen_array
from ares.numerics.accumulate import INT32_MAX, NumericsError
from ares.numerics.rescale import Rescale, plan_multipliers


def plan_truncation(
    rounding: str, shift: int, addend: int, lo: int, hi: int, accumulator_bound: int
) -> Rescale:
    """Constants for code = clamp(whole((acc + addend) / 2**shift)), exact for every |acc| <= `accumulator_bound`.

    A negative `shift` appends bits: nothing is rounded then. NumericsError: out of range.
    """
    if accumulator_bound > INT32_MAX:
        raise NumericsError(f"accumulator may reach {accumulator_bound}, int32 ends at {INT32_MAX}")
    if shift <= 0:
        rounding = "half to even"
    if rounding in _ADDENDS:
        # Half a code less than half of the last bit that is cut off: no value is a tie, all fall to the wanted side.
        half = _ADDENDS[rounding] * (Fraction(1, 2) - Fraction(1, 2) / 2**shift if shift > 0 else 0)
        unit = Fraction(1) / Fraction(2) ** shift
        return plan_multipliers([unit], [addend * unit + half], 0, lo, hi, accumulator_bound)
    return _steps(_FIRST[rounding], shift, addend, lo, hi, accumulator_bound)


def _steps(
    first: Callable[[int, int], int], shift: int, addend: int, lo: int, hi: int, bound: int
) -> Rescale:
    """`first(code, size)`: the smallest value that becomes `code` or more when `size` values make a code."""
    start, thresholds, codes = lo, [], []
    for code in range(lo + 1, hi + 1):
        edge = first(code, 2**shift) - addend
        if edge <= -bound:
            start = code
        elif edge <= bound:
            thresholds.append(edge)
            codes.append(code)
    # One code for every accumulator: a threshold that changes nothing says so.
    if not thresholds:
        thresholds, codes = [INT32_MAX], [start]
    return Rescale(
        multiplier=frozen_array([2], np.int32),
        offset=frozen_array([0], np.int64),
        shift=frozen_array([1], np.uint8),
        lo=lo,
        hi=hi,
        thresholds=frozen_array(thresholds, np.int32),
        codes=frozen_array([start, *codes], np.int16),
    )


def _towards_zero(code: int, size: int) -> int:
    return code * size if code > 0 else (code - 1) * size + 1


def _negative_ties_up(code: int, size: int) -> int:
    """Half to even, but a tie below zero goes up (Brevitas' DPU)."""
    tie = (2 * code - 1) * size // 2
    return tie + (tie >= 0 and code % 2 == 1)


# In units of half a code: what makes the rounding half to even of N1 another one.
_ADDENDS: Mapping[str, int] = {"down": -1, "half to even": 0, "up": 1}
_FIRST: Mapping[str, Callable[[int, int], int]] = {
    "towards zero": _towards_zero,
    "half to even, negative ties up": _negative_ties_up,
}
ROUNDINGS = (*_ADDENDS, *_FIRST)
"""How a quotient that is no integer becomes one."""
