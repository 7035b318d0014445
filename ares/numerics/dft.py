"""Clause N16: the real DFT of a row of codes, the magnitudes of its bins and their phases.

    re[k] + i im[k] = sum over n of (x[n] - z) * (c[n k mod N] - i s[n k mod N])      int64, exact
    c[j] ~ 2**30 cos(2 pi j / N),  s[j] ~ 2**30 sin(2 pi j / N)                       mirrored exactly

A bin is scaled down by the smallest power of two at which both parts fit 31 bits. Its magnitude is compared with
thresholds by their squares, its phase with directions by the sign of a cross product: no root, no arc tangent, no
division. C: `ares_rfft` in `runtime/src/rfft.c`.
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
from ares.numerics.accumulate import NumericsError, exact_matmul
from ares.numerics.rounding import IntArray

SHORTEST_ROW, LONGEST_ROW = 2, 1024
FRACTION_BITS = 30
SNAP = 1 << (FRACTION_BITS - 10)
"""A part of a bin of at most this (2**-10 of an input code) has phase of zero."""

LARGEST_MAGNITUDE_RATIO = 2**9
SMALLEST_PHASE_SCALE = 2.0**-8

_PART_BITS = 31
_NEVER = 2**62  # no bin has a magnitude of more than 2**49


def dft_tables(length: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(c, s), int32[length] each. cos(pi - t) = -cos t and sin(-t) = -sin t hold exactly, and so do the zeros."""
    if not SHORTEST_ROW <= length <= LONGEST_ROW:
        raise NumericsError(f"a row of {length} elements, expected {SHORTEST_ROW} to {LONGEST_ROW}")
    cosine, sine = [], []
    for j in range(length):
        # In steps of pi / N, folded into the first quadrant.
        steps = 2 * min(j, length - j)
        folded = min(steps, length - steps)
        c = _rounded(math.cos(math.pi * folded / length)) if 2 * folded != length else 0
        cosine.append(-c if 2 * steps > length else c)
        s = _rounded(math.sin(math.pi * folded / length))
        sine.append(-s if 2 * j > length else s)
    return frozen_array(cosine, np.int32), frozen_array(sine, np.int32)


def _rounded(value: float) -> int:
    scaled: int = round(value * 2**FRACTION_BITS)
    return scaled


def dft_sums(
    codes: npt.NDArray[Any], cosine: npt.NDArray[Any], sine: npt.NDArray[Any]
) -> tuple[IntArray, IntArray]:
    """(re, im) of centred codes [..., N]: int64 [..., N // 2 + 1], in units of 2**-30 input codes (N16)."""
    length = codes.shape[-1]
    index = np.outer(np.arange(length), np.arange(length // 2 + 1)) % length
    return exact_matmul(codes, cosine[index]), exact_matmul(codes, -sine[index].astype(np.int64))


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """Directions int32[n, 2] (cosine and sine in Q30), ascending from -pi to pi; the first `below` have sine < 0.

    `first` is the code below all of them.
    """

    first: int
    below: int
    directions: npt.NDArray[Any]


def plan_magnitude(ratio: Fraction, zero_point: int, hi: int) -> npt.NDArray[Any]:
    """Thresholds int64[hi - zero_point], in units of 2**-30 input codes, at which the code grows by one.

    `ratio` is what one input code is worth in output codes. Raises NumericsError where it passes 2**9.
    """
    if ratio > LARGEST_MAGNITUDE_RATIO:
        raise NumericsError(
            f"a magnitude of one input code is {float(ratio):g} output codes, at most "
            f"{LARGEST_MAGNITUDE_RATIO} are possible"
        )
    unit = (1 << FRACTION_BITS) / ratio
    halves = (Fraction(2 * step + 1, 2) for step in range(hi - zero_point))
    return frozen_array([min(round(half * unit), _NEVER) for half in halves], np.int64)


def plan_phase(scale: float, zero_point: int, lo: int, hi: int) -> PhasePlan:
    """Constants for the phase quantised with `scale`. Raises NumericsError where that is below 2**-8."""
    if scale < SMALLEST_PHASE_SCALE:
        raise NumericsError(f"a phase scale of {scale:g} rad, expected at least 2^-8")
    angles = [(code - zero_point - 0.5) * scale for code in range(lo + 1, hi + 1)]
    within = [angle for angle in angles if -math.pi < angle <= math.pi]
    return PhasePlan(
        first=lo + sum(angle <= -math.pi for angle in angles),
        below=sum(angle < 0.0 for angle in within),
        directions=frozen_array(
            np.array(
                [(_rounded(math.cos(a)), _rounded(math.sin(a))) for a in within], np.int64
            ).reshape(-1, 2),
            np.int32,
        ),
    )


def magnitude_codes(re: IntArray, im: IntArray, first: int, thresholds: Sequence[int]) -> IntArray:
    """Codes of the bins' magnitudes: `first` and one for each threshold that is passed (N16).

    A bin exactly on a threshold is a tie and takes the even code (N1).
    """
    re, im, down = _scaled(re, im)
    power = (re * re + im * im).astype(np.uint64)
    codes = np.full(re.shape, first, np.int64)
    for step, threshold in enumerate(thresholds):
        root = np.minimum(np.int64(threshold) >> down, 2**32 - 1).astype(np.uint64)
        square = root * root
        codes += power > square if (first + step) % 2 == 0 else power >= square
    return codes


def phase_codes(re: IntArray, im: IntArray, plan: PhasePlan) -> IntArray:
    """Codes of the bins' phases in (-pi, pi]; 0 where both parts are snapped to zero (N16)."""
    re, im = (np.where(np.abs(part) <= SNAP, 0, part) for part in (re, im))
    small_re, small_im, _ = _scaled(re, im)
    total = len(plan.directions)
    passed = [
        small_im * int(c) - small_re * int(s) >= 0 for c, s in plan.directions.astype(np.int64)
    ]
    under = sum(passed[: plan.below], np.zeros(re.shape, np.int64))
    over = sum(passed[plan.below :], np.zeros(re.shape, np.int64))
    on_axis = np.where(re < 0, total, plan.below)
    reached = np.where(im < 0, under, np.where(im > 0, plan.below + over, on_axis))
    return np.asarray(plan.first + reached, np.int64)


def _scaled(re: IntArray, im: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Both parts over 2**down, towards zero, with the smallest `down` >= 0 that leaves 31 bits."""
    largest = np.maximum(np.abs(re), np.abs(im))
    # Sums are below 2**53, where frexp is exact: the exponent is the number of bits.
    down = np.maximum(np.frexp(largest.astype(np.float64))[1].astype(np.int64) - _PART_BITS, 0)
    small_re, small_im = (
        np.asarray(np.sign(part) * (np.abs(part) >> down), np.int64) for part in (re, im)
    )
    return small_re, small_im, np.asarray(down, np.int64)
