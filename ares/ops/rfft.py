"""RFFTFeatures: magnitudes or phases of the real DFT of every row, straight to codes.

The sums are exact (N16): `ares.nn.RFFTFeatures` means cosines rounded to 30 bits too. eps, in output codes:

Magnitude: both parts are cut to 31 bits, each loses less than 2**down, and the threshold, rounded to 2**-30 input
codes, is cut likewise. A bin that is cut is at least 2**(30 + down) units long, so its length compares off by at most
(sqrt(2) + 1/4) * 2**-30 of itself, which is at most 255 codes where it matters: 2**-21. Uncut bins compare off by half
a unit, ratio * 2**-31 codes, 2**-22 as the ratio is at most 2**9. An exact tie is cut exactly: its length is an odd
number below 2**9 times a power of two.

Phase: the cut turns a bin by less than sqrt(2) * 2**-30 rad, the rounding of a direction turns that by at most
sqrt(1/2) * 2**-30: together 2**-28.9 rad, at least 2**-8 rad of which are a code: 2**-20.9. No bin that is no
multiple of a quarter turn has a rational phase, so there are no ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics.dft import (
    LONGEST_ROW,
    SHORTEST_ROW,
    PhasePlan,
    dft_sums,
    magnitude_codes,
    phase_codes,
)
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    require_codes,
    row_major,
)

MAGNITUDE, PHASE = "magnitude", "phase"


@dataclass(frozen=True, slots=True, eq=False)
class Rfft(KernelOperation):
    """`out[...,k] = first + number of steps below |X[k]| or arg X[k]`, X the DFT of `in[...,n] - z`

    Input [..., N], N from 2 to 1024, output [..., N // 2 + 1]. `part` is "magnitude" (with `thresholds`, int64) or
    "phase" (with `directions`, int32 [n, 2], the first `below` with negative sine). `cosine`, `sine`: int32 [N], Q30.
    """

    OP_TYPE = "OP_RFFT"
    LAYER_TYPE = "RFFT"
    PYTHON_CLASS = "ares.nn.RFFTFeatures"
    EPS = 2.0**-20
    KERNEL = "rfft"

    part: str
    cosine: npt.NDArray[np.int32]
    sine: npt.NDArray[np.int32]
    first: int
    thresholds: npt.NDArray[np.int64]
    directions: npt.NDArray[np.int32]
    below: int

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        length = source.shape[-1]
        require(
            len(source.shape) >= 2 and SHORTEST_ROW <= length <= LONGEST_ROW,
            f"{self.name}: input {list(source.shape)}, expected rows of {SHORTEST_ROW} to "
            f"{LONGEST_ROW} elements after the batch",
        )
        require(
            self.cosine.shape == self.sine.shape == (length,),
            f"{self.name}: tables of {self.cosine.size} elements for rows of {length}",
        )
        require(
            self.part in (MAGNITUDE, PHASE)
            and (self.part == MAGNITUDE) != bool(self.directions.size)
            and not (self.part == PHASE and self.thresholds.size)
            and self.directions.shape[1:] == (2,)
            and 0 <= self.below <= len(self.directions),
            f"{self.name}: {self.thresholds.size} thresholds and {len(self.directions)} directions "
            f"for the part {self.part!r}",
        )
        return (((*source.shape[:-1], length // 2 + 1), CODES),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        order = row_major(len(site.inputs[0].shape))
        return (order,), (order,)

    def macs(self, site: Site) -> int:
        return site.outputs[0].size * site.inputs[0].shape[-1]

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (source,) = site.inputs
        codes = arrays[0].astype(np.int64) - source.zero_point
        re, im = dft_sums(codes, self.cosine, self.sine)
        if self.part == MAGNITUDE:
            return (magnitude_codes(re, im, self.first, [int(t) for t in self.thresholds]),)
        return (phase_codes(re, im, PhasePlan(self.first, self.below, self.directions)),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        length = source.shape[-1]
        fields = (
            ("rows", prod(source.shape[:-1])),
            ("length", length),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("first", self.first),
            ("is_phase", self.part == PHASE),
            ("below", self.below),
            ("num_steps", len(self.directions) if self.part == PHASE else len(self.thresholds)),
            ("cosine", self.cosine),
            ("sine", self.sine),
            ("thresholds", self.thresholds),
            ("directions", self.directions),
        )
        # Sums and differences of mirrored elements, int16.
        scratch = 2 * 2 * (length // 2 + 1)
        return KernelCall(
            "ares_rfft", "rfft.h", Struct("ares_rfft_params", fields), scratch=scratch
        )
