"""Clause N13: a row of scores becomes probabilities, every one right to 2**-29 of itself before its one rounding.

    e[k]  = exp(-k * scale) ~ m[k] / 2**(31 + x[k])     2**31 <= m < 2**32, k = 0..255
    S     = sum over the row of floor(m * 2**19 / 2**x)                                in units of 2**-50
    T     = floor(S / 2**d), with the d that gives 2**31 <= T < 2**32
    R     = round(numerator * 2**31 / T)                numerator * 2**exponent ~ 1 / scale of the probabilities
    code  = clamp(round(m * R / 2**(d + 12 + x - exponent) + z))

Everything is relative: neither a long row nor a fine scale of the probabilities costs accuracy. The table is
rounded from 50 decimal digits. C: `ares_softmax` in `runtime/inc/softmax.h`.

Scores that no quantiser made codes of are accumulators (N2), whose steps k are long: e[k] is the product of one table
entry for each of up to three digits of k. C: `ares_matmul_softmax` in `runtime/inc/matmul_softmax.h`.
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
_MOST_DIGITS = 3
_VANISHES = 44
"""exp(-44) < 2**-63"""


def exp_table(scale: float) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(m uint32[256], x uint8[256]) of exp(-k * scale), k = 0..255; both 0 below 2**-63 (N13)."""
    if not (scale > 0.0 and isfinite(scale)):
        raise NumericsError(f"scores have scale {scale}, expected a positive number")
    return _table(Decimal(scale))


def exp_tables(scale: Fraction, largest: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(m uint32[digits, base], x uint8[digits, base]): row d is the table of exp(-k * scale * base**d) (N13).

    `scale` is what a step of the accumulators is worth; as many digits as steps up to `largest` have, less those that
    make the exponential too small to count. The base is 256, or the power of two with which three digits suffice.
    """
    if not scale > 0:
        raise NumericsError(f"scores have scale {float(scale):.3g}, expected a positive number")
    base, digits, longest = 256, 1, min(largest, _VANISHES / scale)
    while base**_MOST_DIGITS <= longest:
        base *= 2
    while base**digits <= longest:
        digits += 1
    step = _DIGITS.divide(Decimal(scale.numerator), Decimal(scale.denominator))
    tables = [_table(_DIGITS.multiply(step, Decimal(base**digit)), base) for digit in range(digits)]
    return frozen_array([m for m, _ in tables], np.uint32), frozen_array(
        [x for _, x in tables], np.uint8
    )


def _table(step: Decimal, size: int = 256) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    rows = [_floating(_DIGITS.multiply(Decimal(k), step)) for k in range(size)]
    return frozen_array([m for m, _ in rows], np.uint32), frozen_array(
        [x for _, x in rows], np.uint8
    )


def _floating(negated: Decimal) -> tuple[int, int]:
    """(m, x) of exp(-negated)."""
    if negated > _VANISHES:
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
    """Codes of the probabilities of `scores` [..., keys] (N13); `table` from `exp_table` or `exp_tables`.

    `kept` broadcasts to it: keys that are not kept count nowhere and get the code of zero. Every row keeps one.
    """
    wide = scores.astype(np.int64)
    top = np.where(kept, wide, np.iinfo(np.int64).min).max(axis=-1, keepdims=True)
    mantissa, exponent = _exponential(np.where(kept, top - wide, 0), *np.atleast_2d(*table))
    mantissa = np.where(kept, mantissa, np.uint64(0))
    terms = (mantissa << _SUM_SHIFT) >> exponent.astype(np.uint64)
    total = terms.sum(axis=-1, keepdims=True, dtype=np.uint64)
    # total is in [2**50, 2**61]: float64 tells its highest bit, once the low ones are gone.
    drop = np.frexp((total >> np.uint64(19)).astype(np.float64))[1].astype(np.int64) - 32 + 19
    divisor = total >> drop.astype(np.uint64)
    factor = (np.uint64(reciprocal[0] << 31) + (divisor >> np.uint64(1))) // divisor
    shift = drop + 12 + exponent - reciprocal[1]
    return np.clip(_rounded(mantissa * factor, shift, zero_point), lo, hi)


def _exponential(
    steps: npt.NDArray[np.int64], mantissas: npt.NDArray[Any], exponents: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """(m, x) of every step: the product of the entries of its digits, rounded to 32 bits each time."""
    bits = mantissas.shape[1].bit_length() - 1
    last = mantissas.shape[1] - 1
    mantissa = mantissas[0][steps & last].astype(np.uint64)
    exponent = exponents[0][steps & last].astype(np.int64)
    rest = steps >> bits
    for digit in range(1, len(mantissas)):
        own, rest = rest & last, rest >> bits
        product = mantissa * mantissas[digit][own].astype(np.uint64)
        # What would be rounded up to 2**32 counts as 2**31 with an exponent one less.
        above = (product + np.uint64(2**30)) >> np.uint64(63)
        mantissa = (product + (np.uint64(2**30) << above)) >> (np.uint64(31) + above)
        exponent += exponents[digit][own] - above.astype(np.int64)
    counts = (rest == 0) & (mantissa > 0) & (exponent <= _LARGEST_EXPONENT)
    return np.where(counts, mantissa, np.uint64(0)), np.where(counts, exponent, 0)


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
