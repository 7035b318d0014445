"""Clauses N3 to N5 and N10: from an exact accumulator to a code, with one rounding.

    N3   v = round_half_even((acc * M + B) / 2**s)             int32 x 31 bit + 64 bit
    N4   code = clamp(v, lo, hi)
    N5   code = codes[number of thresholds <= v]               a function with its own steps
    N10  v = round_half_even((sum(a_i * code_i) + B) / 2**s)   a weighted sum

M, B and s are computed here, once, from exact rationals; B carries the zero point and a float bias, so that
nothing is rounded before the one rounding. C: `ares_rescale_apply` in `runtime/inc/numerics.h`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import frozen_array
from ares.numerics.accumulate import INT32_MAX, NumericsError
from ares.numerics.rounding import IntArray, magnitude_bits, round_half_even_shift, round_scaled

MAX_SHIFT = 61
_LIMIT = 2**62
# Largest odd denominator of a ratio that is taken for a divisor; scales that are no simple numbers give longer ones.
LONGEST_TIE = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Rescale:
    """Constants of N3 to N5, for one channel (length 1) or for each output channel.

    multiplier int32[n] with |M| < 2**31, offset int64[n], shift uint8[n] in [1, 61]; `lo`, `hi` bound the
    codes. With a function: thresholds int32[k] ascending and codes int16[k + 1]; both empty otherwise. With a function
    for each of c channels: thresholds int32[c, k] and codes int16[c, k + 1].
    """

    multiplier: npt.NDArray[np.int32]
    offset: npt.NDArray[np.int64]
    shift: npt.NDArray[np.uint8]
    lo: int
    hi: int
    thresholds: npt.NDArray[np.int32]
    codes: npt.NDArray[np.int16]

    @property
    def channels(self) -> int:
        return max(int(self.multiplier.size), len(self.thresholds) if self.has_own_steps else 1)

    @property
    def has_own_steps(self) -> bool:
        """Whether each channel has a function of its own."""
        return self.thresholds.ndim == 2

    def apply(self, accumulator: npt.NDArray[Any], axis: int = -1) -> IntArray:
        """Codes of int32 accumulators; `axis` is the channel axis when there is one value a channel."""
        shape = [1] * accumulator.ndim
        if self.multiplier.size > 1:
            shape[axis] = self.multiplier.size
        product = accumulator.astype(np.int64) * self.multiplier.astype(np.int64).reshape(shape)
        total, shift = product + self.offset.reshape(shape), self.shift.reshape(shape)
        if not self.has_own_steps:
            return self.finish(total, shift)
        values = np.moveaxis(round_half_even_shift(total, shift), axis, 0)
        rows = zip(values, self.thresholds, self.codes, strict=True)
        return np.moveaxis(np.stack([_step_codes(*row) for row in rows]), 0, axis)

    def finish(self, total: IntArray, shift: npt.NDArray[Any]) -> IntArray:
        """The one rounding (N3), then N4 or N5."""
        value = round_half_even_shift(total, shift)
        if self.thresholds.size:
            return _step_codes(value, self.thresholds, self.codes)
        return np.clip(value, self.lo, self.hi)


def _step_codes(
    value: IntArray, thresholds: npt.NDArray[np.int32], codes: npt.NDArray[np.int16]
) -> IntArray:
    """N5 with one table."""
    index = np.searchsorted(thresholds.astype(np.int64), value, side="right")
    return codes.astype(np.int64)[index]


def plan_rescale(
    ratios: Sequence[Fraction],
    biases: Sequence[Fraction],
    zero_point: int,
    lo: int,
    hi: int,
    accumulator_bound: int,
) -> Rescale:
    """Constants for code = clamp(round(acc * ratio + bias + zero_point)).

    `ratios`: what one unit of the accumulator is worth in output codes, one or one a channel; `biases`: real
    biases in output codes; `accumulator_bound`: largest |acc|. Raises NumericsError out of range.
    """
    if len(ratios) == len(biases) == 1 and accumulator_bound <= INT32_MAX:
        exact = _plan_steps(ratios[0], biases[0] + zero_point, lo, hi, accumulator_bound)
        if exact is not None:
            return exact
    return plan_multipliers(ratios, biases, zero_point, lo, hi, accumulator_bound)


def plan_multipliers(
    ratios: Sequence[Fraction],
    biases: Sequence[Fraction],
    zero_point: int,
    lo: int,
    hi: int,
    accumulator_bound: int,
) -> Rescale:
    """As `plan_rescale`, always by multiplication (N3): exact where ratio and addend are dyadic."""
    if accumulator_bound > INT32_MAX:
        raise NumericsError(f"accumulator may reach {accumulator_bound}, int32 ends at {INT32_MAX}")
    channels = max(len(ratios), len(biases))
    rows = [
        _plan_channel(
            ratios[channel % len(ratios)],
            biases[channel % len(biases)] + zero_point,
            accumulator_bound,
        )
        for channel in range(channels)
    ]
    if len(set(rows)) == 1:
        rows = rows[:1]
    return Rescale(
        multiplier=frozen_array([row[0] for row in rows], np.int32),
        offset=frozen_array([row[1] for row in rows], np.int64),
        shift=frozen_array([row[2] for row in rows], np.uint8),
        lo=lo,
        hi=hi,
        thresholds=frozen_array([], np.int32),
        codes=frozen_array([], np.int16),
    )


def _plan_steps(ratio: Fraction, addend: Fraction, lo: int, hi: int, bound: int) -> Rescale | None:
    """Steps on the accumulator itself (N5), where ties are real but no multiplier can hold the ratio.

    The mean of 6 codes has ties (3 / 6), and M / 2**s is never 1/6: half of them would fall the wrong way. None where
    the ratio is dyadic (M is exact) or has a long odd denominator (ties do not happen).
    """
    odd = ratio.denominator // (ratio.denominator & -ratio.denominator)
    if not 1 < odd <= LONGEST_TIE:
        return None
    steps: dict[int, int] = {}
    rising = ratio > 0
    start = lo if rising else hi
    # The codes in the order in which a growing accumulator meets them.
    for code in range(lo + 1, hi + 1) if rising else range(hi - 1, lo - 1, -1):
        edge = (code - Fraction(1, 2 if rising else -2) - addend) / ratio
        # At the edge itself the value is a tie, which goes to the even code.
        first = edge.numerator + 1 if edge.denominator == 1 and code % 2 else math.ceil(edge)
        if first <= -bound:
            start = code
        elif first <= bound:
            steps[first] = code
    # One code for every accumulator: a threshold that changes nothing says so.
    steps = steps or {INT32_MAX: start}
    return Rescale(
        multiplier=frozen_array([2], np.int32),
        offset=frozen_array([0], np.int64),
        shift=frozen_array([1], np.uint8),
        lo=lo,
        hi=hi,
        thresholds=frozen_array(sorted(steps), np.int32),
        codes=frozen_array([start, *(steps[first] for first in sorted(steps))], np.int16),
    )


def _plan_channel(ratio: Fraction, addend: Fraction, bound: int) -> tuple[int, int, int]:
    """(M, B, s) with the largest s for which |M| < 2**31 and bound * |M| + |B| < 2**62."""
    # |ratio| > 2**(bits - 1): a larger shift would bring the multiplier to 2**31.
    for shift in range(min(MAX_SHIFT, 32 - magnitude_bits(ratio)), 0, -1):
        multiplier, offset = round_scaled(ratio, shift), round_scaled(addend, shift)
        if abs(multiplier) <= INT32_MAX and bound * abs(multiplier) + abs(offset) < _LIMIT:
            return multiplier, offset, shift
    raise NumericsError(
        f"one accumulator unit is worth {float(ratio):.3g} codes, bias {float(addend):.3g} codes: "
        "too large for 64 bits"
    )


def plan_weighted_sum(
    ratios: Sequence[Fraction],
    zero_points: Sequence[int],
    addend: Fraction,
    lo: int,
    hi: int,
) -> tuple[tuple[int, ...], Rescale]:
    """Constants for code = clamp(round(sum(ratio_i * (code_i - z_i)) + addend)), one rounding (N10).

    `addend` is the output's zero point and what else is added, in output codes. Returns int32 coefficients a_i and a
    Rescale whose offset holds all zero points: total = sum(a_i * code_i) + offset, then `finish`; its multiplier is
    unused (1). Codes are 8-bit: |code_i - z_i| <= 255.
    """
    largest = max(map(abs, ratios))
    if not largest:
        raise NumericsError("both addends of a sum are multiplied by zero")
    for shift in range(MAX_SHIFT, 0, -1):
        coefficients = tuple(round(ratio * 2**shift) for ratio in ratios)
        constant_part = round_scaled(addend, shift)
        total = 255 * sum(map(abs, coefficients)) + abs(constant_part)
        if max(map(abs, coefficients)) <= INT32_MAX and total < _LIMIT:
            break
    else:
        raise NumericsError(
            f"an addend's scale is {float(largest):.3g} times the output's: too large"
        )
    offset = constant_part - sum(a * z for a, z in zip(coefficients, zero_points, strict=True))
    rescale = Rescale(
        multiplier=frozen_array([1], np.int32),
        offset=frozen_array([offset], np.int64),
        shift=frozen_array([shift], np.uint8),
        lo=lo,
        hi=hi,
        thresholds=frozen_array([], np.int32),
        codes=frozen_array([], np.int16),
    )
    return coefficients, rescale
