"""The steps of N5 as the kernels search them: an index says where to begin, a few comparisons go on from there.

    below, last = thresholds[0] - 1, thresholds[-1]
    v     = clamp(u, below, last)
    place = starts[(v - below) >> bits]
    for n in half, half / 2, ... 1:  place += n  if thresholds[place + n - 1] <= v
    code  = codes[place]

`starts` are the thresholds at or below a bucket's beginning, or fewer: every bucket is followed by as many comparisons,
which must not read past the table. No index is taken for right: each is proven, for every value of 64 bits.
C: `ares_step_of` in `runtime/inc/numerics.h`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import frozen_array
from ares.numerics.accumulate import INT32_MAX, NumericsError
from ares.numerics.rounding import IntArray

# A shared table may have an index of so many bytes, and of so many a code.
_MOST_BUCKETS, _BUCKETS_PER_CODE = 512, 4
_LARGEST_START = 255
_MOST_BITS = 31


@dataclass(frozen=True, slots=True, eq=False)
class StepIndex:
    """One table: thresholds int32 [n] ascending, codes uint8 [n + 1] (their bytes), starts uint8 [buckets]."""

    thresholds: npt.NDArray[np.int32]
    codes: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.uint8]
    below: int
    last: int
    bits: int
    half: int

    def find(self, value: IntArray) -> npt.NDArray[np.uint8]:
        """The bytes of the codes of int64 values, as the C finds them."""
        limited = np.clip(value, self.below, self.last)
        place = self.starts.astype(np.int64)[(limited - self.below) >> self.bits]
        half = self.half
        while half:
            place += half * (self.thresholds[place + half - 1] <= limited)
            half >>= 1
        found: npt.NDArray[np.uint8] = self.codes[place]
        return found


def index_steps(
    thresholds: npt.NDArray[np.int32], codes: npt.NDArray[np.int16], *, is_shared: bool
) -> StepIndex:
    """The index of one table of N5: as small as goes with the fewest comparisons.

    Where each channel has a table, an index gets no more bytes than are saved by codes that are bytes.

    Raises NumericsError for tables that are none, and where the index would not answer what the search does.
    """
    if thresholds.size == 0 or codes.size != thresholds.size + 1:
        raise NumericsError(f"{thresholds.size} thresholds with {codes.size} codes are no steps")
    if np.any(np.diff(thresholds.astype(np.int64)) < 0) or thresholds[0] == -(2**31):
        raise NumericsError("thresholds must ascend from more than -2^31")
    if codes.min() < -128 or codes.max() > 255 or (codes.min() < 0 and codes.max() > 127):
        raise NumericsError(f"codes {codes.min()}..{codes.max()} are not those of one byte")
    steps, values = _unfilled(thresholds.astype(np.int64), codes)
    most = min(_MOST_BUCKETS, _BUCKETS_PER_CODE * values.size) if is_shared else values.size
    bits = 0
    while int(steps[-1] - steps[0]) + 1 >> bits >= most:
        bits += 1
    best = _at(steps, values, bits)
    # Fewer buckets as long as they cost no comparison.
    while bits < _MOST_BITS and (wider := _at(steps, values, bits + 1)).half <= best.half:
        best, bits = wider, bits + 1
    _prove(best, thresholds.astype(np.int64), codes)
    return best


def _unfilled(thresholds: IntArray, codes: npt.NDArray[np.int16]) -> tuple[IntArray, IntArray]:
    """Without the steps with which the table of a channel is filled up; one is left."""
    size = thresholds.size
    while size > 1 and thresholds[size - 1] == INT32_MAX and codes[size] == codes[size - 1]:
        size -= 1
    return thresholds[:size], codes[: size + 1].astype(np.int64)


def _at(thresholds: IntArray, codes: IntArray, bits: int) -> StepIndex:
    """With buckets of 2^bits values."""
    below, last = int(thresholds[0]) - 1, int(thresholds[-1])
    buckets = ((last - below) >> bits) + 1
    begins = below + (np.arange(buckets, dtype=np.int64) << bits)
    ends = np.minimum(begins + (1 << bits) - 1, last)
    counts = np.searchsorted(thresholds, ends, side="right")
    starts = np.minimum(np.searchsorted(thresholds, begins, side="right"), _LARGEST_START)
    searched = (1 << int((counts - starts).max()).bit_length()) - 1
    # Comparisons past the table: filled up where it is short, begun earlier in its last buckets.
    missing = max(searched - thresholds.size, 0)
    starts = np.minimum(starts, thresholds.size + missing - searched)
    return StepIndex(
        thresholds=frozen_array([*thresholds, *[INT32_MAX] * missing], np.int32),
        codes=frozen_array(np.array([*codes, *[codes[-1]] * missing]) & 0xFF, np.uint8),
        starts=frozen_array(starts, np.uint8),
        below=below,
        last=last,
        bits=bits,
        half=(searched + 1) >> 1,
    )


def _prove(index: StepIndex, thresholds: IntArray, codes: npt.NDArray[np.int16]) -> None:
    """Raise NumericsError unless the index answers as the search does, for every value.

    Inside a bucket the start is one, so the answer can change at a threshold only: it is right for all values if it is
    at every threshold, before it, and at both ends of every bucket. Beyond the table values are limited to its ends.
    """
    begins = index.below + (np.arange(index.starts.size, dtype=np.int64) << index.bits)
    far = np.array([-(2**62), index.below, index.last, 2**62])
    values = np.concatenate([thresholds, thresholds - 1, begins, begins - 1, far])
    expected = codes.astype(np.int64)[np.searchsorted(thresholds, values, side="right")] & 0xFF
    wrong = values[index.find(values) != expected]
    if wrong.size:
        raise NumericsError(f"the index of a table of steps is wrong at {int(wrong[0])}")
