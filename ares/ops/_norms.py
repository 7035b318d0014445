"""What the normalisations share: groups of codes, each with its own mean and variance (N11).

eps, in output codes, with b = beta / scale + z and n the codes in a group. A code within its range has
|gamma * normalised / scale| <= 256 + |b|, and relative to that

- the multiplier is off by 2**-31: either |M| >= 2**30 - 1, or the offset's limit of 2**61 keeps s down, which costs
  |b| * 2**-31;
- the inverse root is off by 2**-36 (`inverse_root`), the product that is cut by 32 bits by 2**-34;
- Eq is rounded to an integer, which counts only beside a small variance; V >= n - 1 when it is not zero, so
  2**-(F + 2) / (n - 1): 2**-33 for n = 2**17 with a mean, 2**-31 without (F is 14 and 12), far less for smaller n.

Together under 1.5 * 2**-31 with a mean, 2.4 * 2**-31 without (where b = z <= 255). The offset and the last cut add
1.5 * 2**-s, and 2**-s <= 2**-60 * max(2, 2 * |b|, 2 * |gamma| * sqrt(n) / scale). So (256 + |b|) * 1.5 * 2**-31:
under 2**-20 for |b| below 1100 codes, whatever gamma and n are; a beta that cancels more codes than that costs in
proportion.

A function after it (GELU) is planned on a grid (N5) of up to 2**32 units for the arguments at which the code changes;
as those take the place of the 256 codes, it costs at most 4 * max|f'| * unit / scale codes for a beta among them: for
GELU under 2**-20 for scales above 0.01. The witness judges every code.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import INT32_MAX, Rescale
from ares.numerics.norms import LARGEST_COUNT, normalise, radicand_bound, root_shift
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    require_codes,
    rescale_struct,
    row_major,
)


@dataclass(frozen=True, slots=True, eq=False)
class NormOperation(KernelOperation):
    """`out = rescale(d / sqrt(V + eps'))` in groups; the constants come from `ares.numerics.plan_norm`.

    `rescale` has one multiplier (gamma) and offset (beta), or one for each channel.
    """

    EPS: ClassVar[float] = 2.0**-20
    KERNEL: ClassVar[str] = "norm"
    IS_CENTRED: ClassVar[bool] = True

    variance_shift: int
    variance_offset: int
    rescale: Rescale

    @abstractmethod
    def split(self, source: Tensor) -> tuple[int, int, int, int]:
        """(rows, groups of a row, channels of a group, positions of a channel), in PyTorch's order."""

    def check_shape(self, source: Tensor) -> None:
        """Raise GraphError unless `split` can be asked."""

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        self.check_shape(source)
        _, groups, width, positions = self.split(source)
        count = width * positions
        require(
            count <= LARGEST_COUNT,
            f"{self.name}: it normalises over {count} values, at most {LARGEST_COUNT} can be exact",
        )
        require(
            self.rescale.channels in (1, groups * width),
            f"{self.name}: {self.rescale.channels} multipliers for {groups * width} channels",
        )
        require(
            self.variance_shift >= 0
            and self.variance_shift % 2 == 0
            and self.variance_offset >= 1
            and radicand_bound(
                source, count, self.IS_CENTRED, self.variance_shift, self.variance_offset
            )
            < 2**63
            and int(np.abs(self.rescale.multiplier.astype(np.int64)).max()) <= INT32_MAX
            and int(np.abs(self.rescale.offset).max()) < 2**61,
            f"{self.name}: its constants may pass 64 bits",
        )
        return ((source.shape, CODES),)

    def accumulator_bound(self, site: Site) -> int:
        (source,) = site.inputs
        _, _, width, positions = self.split(source)
        # n * (q - z) is as large as the sum can be; the sum of squares is 64 bit.
        return width * positions * max(source.largest_magnitude, source.hi - source.lo)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        order = row_major(len(site.inputs[0].shape))
        return (order,), (order,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (source,) = site.inputs
        steps = (arrays[0].astype(np.int64) - source.zero_point).reshape(self.split(source))
        codes = normalise(
            steps, self.IS_CENTRED, self.variance_shift, self.variance_offset, self.rescale
        )
        return (codes.reshape(source.shape),)

    def channels_innermost(self, site: Site) -> bool:
        """Whether a position's channels are neighbours in memory, not a channel's positions."""
        del site
        return False

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        rows, groups, width, positions = self.split(source)
        is_last = self.channels_innermost(site)
        fields = (
            ("rows", rows),
            ("groups", groups),
            ("width", width),
            ("positions", positions),
            ("channel_stride", 1 if is_last else positions),
            ("position_stride", groups * width if is_last else 1),
            ("is_centred", self.IS_CENTRED),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("variance_shift", self.variance_shift),
            ("root_shift", root_shift(width * positions, self.variance_shift)),
            ("variance_offset", self.variance_offset),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall("ares_norm", "norm.h", Struct("ares_norm_params", fields), in_place=(0,))


@dataclass(frozen=True, slots=True, eq=False)
class TrailingNormOperation(NormOperation):
    """Over the last `axes` axes; every element of these has a gamma and beta of its own."""

    axes: int

    def check_shape(self, source: Tensor) -> None:
        rank = len(source.shape)
        require(
            1 <= self.axes < rank,
            f"{self.name}: it normalises over {self.axes} axes of {list(source.shape)}, expected 1 to "
            f"{rank - 1} (axis 0 is the batch)",
        )

    def split(self, source: Tensor) -> tuple[int, int, int, int]:
        width = prod(source.shape[-self.axes :])
        return source.size // width, 1, width, 1
