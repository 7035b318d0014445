"""Clause N13: a row of scores becomes probabilities, every one right to 2**-29 of itself before its one rounding.

    e[k]  = exp(-k * scale) ~ m[k] / 2**(31 + x[k])     2**31 <= m < 2**32, k = 0..255
    S     = sum over the row of floor(m * 2**19 / 2**x)                                in units of 2**-50
    T     = floor(S / 2**d), with the d that gives 2**31 <= T < 2**32
    R     = floor(numerator * 2**31 / T)                numerator * 2**exponent ~ 1 / scale of the probabilities
    code  = clamp(round(m * R / 2**(d + 12 + x - exponent) + z))

Everything is relative: neither a long row nor a fine scale of the probabilities costs accuracy. The table is
rounded from 50 decimal digits. C: `ares_softmax` in `runtime/inc/softmax.h`.
"""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import frozen_array
from ares.numerics.accumulate import NumericsError

LONGEST_ROW = 2048
_FINEST, _COARSEST = 2.0**-30, 2.0**30
_LARGEST_EXPONENT = 63
_SUM_SHIFT = np.uint64(19)
_DIGITS = Context(prec=50)


def exp_table(scale: float) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(m uint32[256], x uint8[256]) of exp(-k * scale), k = 0..255; both 0 below 2**-63 (N13)."""
    if not (scale > 0.0 and isfinite(scale)):
        raise NumericsError(f"scores have scale {scale}, expected a positive number")
    rows = [_floating(k * Decimal(scale)) for k in range(256)]
    return frozen_array([m for m, _ in rows], np.uint32), frozen_array(
        [x for _, x in rows], np.uint8
    )


def _floating(negated: Decimal) -> tuple[int, int]:
    """(m, x) of exp(-negated)."""
    if negated > 44:  # exp(-44) < 2**-63
        return 0, 0
    value = Fraction(_DIGITS.exp(-negated))
    x = 0
    while round(value * 2 ** (31 + x)) < 2**31:
        x += 1
    m = round(value * 2 ** (31 + x))
    return (m, x) if x <= _LARGEST_EXPONENT else (0, 0)


def plan_reciprocal(scale: float) -> tuple[int, int]:
    """(numerator, exponent): 1 / scale ~ numerator * 2**exponent with 2**31 <= numerator < 2**32 (N13)."""
    if not _FINEST <= scale <= _COARSEST:
        raise NumericsError(f"probabilities have scale {scale:.3g}, expected 2**-30 to 2**30")
    reciprocal = 1 / Fraction(scale)
    exponent = -64
    while round(reciprocal / Fraction(2) ** exponent) >= 2**32:
        exponent += 1
    return round(reciprocal / Fraction(2) ** exponent), exponent


def softmax_codes(
    scores: npt.NDArray[Any],
    kept: npt.NDArray[np.bool_],
    table: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    reciprocal: tuple[int, int],
    zero_point: int,
    lo: int,
    hi: int,
) -> npt.NDArray[np.int64]:
    """Codes of the probabilities of `scores` [..., keys] (N13).

    `kept` broadcasts to it: keys that are not kept count nowhere and get the code of zero. Every row keeps one.
    """
    wide = scores.astype(np.int64)
    top = np.where(kept, wide, np.iinfo(np.int64).min).max(axis=-1, keepdims=True)
    steps = np.where(kept, top - wide, 0)
    mantissa = np.where(kept, table[0][steps].astype(np.uint64), np.uint64(0))
    exponent = table[1][steps].astype(np.int64)
    terms = (mantissa << _SUM_SHIFT) >> exponent.astype(np.uint64)
    total = terms.sum(axis=-1, keepdims=True, dtype=np.uint64)
    # total is in [2**50, 2**61]: float64 tells its highest bit, once the low ones are gone.
    drop = np.frexp((total >> np.uint64(19)).astype(np.float64))[1].astype(np.int64) - 32 + 19
    divisor = total >> drop.astype(np.uint64)
    factor = np.uint64(reciprocal[0] << 31) // divisor
    shift = drop + 12 + exponent - reciprocal[1]
    return np.clip(_rounded(mantissa * factor, shift, zero_point), lo, hi)


def _rounded(
    product: npt.NDArray[np.uint64], shift: npt.NDArray[np.int64], zero_point: int
) -> npt.NDArray[np.int64]:
    """product / 2**shift + zero_point, half to even; products below 2**64, shifts from 32 up."""
    before = np.minimum(shift - 1, 63).astype(np.uint64)
    bits = np.where(shift <= 64, product >> before, np.uint64(0))
    below = product & ((np.uint64(1) << before) - np.uint64(1))
    value = (bits >> np.uint64(1)).astype(np.int64) + zero_point
    up = ((bits & np.uint64(1)) == 1) & ((below != 0) | ((value & 1) == 1))
    return np.asarray(value + up, dtype=np.int64)
