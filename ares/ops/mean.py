"""QuantMean with everything up to the next quantiser: one exact sum, one rounding.

eps: as `ares.ops.avg_pool2d`, whose bound holds for a window of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ares.ir import CODES, GraphError, OutputRule, Tensor
from ares.numerics import Rescale
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    channels_last,
    require,
    require_codes,
    rescale_struct,
    row_major,
)


@dataclass(frozen=True, slots=True, eq=False)
class Mean(KernelOperation):
    """`out[...] = rescale(sum over the axes of (in[...] - z))`

    Input of rank 2 to 4; `axes` ascending, without the batch axis 0; they stay with size 1 when `keepdim`.
    The number of summed elements is part of `rescale`, which may have constants for each channel: along axis 1, or
    along the last axis where 1 is summed.
    """

    OP_TYPE = "OP_MEAN"
    LAYER_TYPE = "Mean"
    PYTHON_CLASS = "ares.nn.QuantMean"
    EPS = 2.0**-22
    KERNEL = "mean"

    axes: tuple[int, ...]
    keepdim: bool
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        rank = len(source.shape)
        require(
            2 <= rank <= 4,
            f"{self.name}: input {list(source.shape)} has rank {rank}, expected 2 to 4",
        )
        require(
            bool(self.axes)
            and self.axes == tuple(sorted(set(self.axes)))
            and self.axes[0] >= 1
            and self.axes[-1] < rank,
            f"{self.name}: axes {list(self.axes)} must be different, ascending and in 1..{rank - 1} "
            "(axis 0 is the batch)",
        )
        channels = source.shape[self.channel_axis(rank)]
        require(
            self.rescale.channels == 1
            or (self.rescale.channels == channels and self.channel_axis(rank) not in self.axes),
            f"{self.name}: {self.rescale.channels} multipliers for {channels} channels",
        )
        shape = [1 if axis in self.axes else size for axis, size in enumerate(source.shape)]
        if not self.keepdim:
            shape = [size for axis, size in enumerate(shape) if axis not in self.axes]
        return ((tuple(shape), CODES),)

    def channel_axis(self, rank: int) -> int:
        """The axis of the input along which `rescale` may have constants of its own: 1, or the last if 1 is summed."""
        return rank - 1 if 1 in self.axes else 1

    def _innermost(self, rank: int) -> Layout:
        """The layout in which the channels lie innermost, and what is summed around them."""
        channels = self.channel_axis(rank)
        others = [a for a in range(1, rank) if a != channels and a not in self.axes]
        return (0, *others, *self.axes, channels)

    def accumulator_bound(self, site: Site) -> int:
        (source,) = site.inputs
        return prod(source.shape[axis] for axis in self.axes) * source.largest_magnitude

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        (source,) = site.inputs
        rank = len(source.shape)
        # Of rank 2 to 4 without the batch, any set of axes is one run in at least one of the last two.
        candidates: tuple[Layout, ...] = (given[0], channels_last(rank), row_major(rank))
        if self.rescale.channels > 1:
            candidates = (self._innermost(rank),)
        order = next(layout for layout in candidates if self._run(source, layout) is not None)
        if self.keepdim:
            return (order,), (order,)
        left = [axis for axis in range(rank) if axis not in self.axes]
        return (order,), (tuple(left.index(axis) for axis in order if axis in left),)

    def _run(self, source: Tensor, layout: Layout) -> tuple[int, int, int] | None:
        """Memory as [outer][count][inner]; None when the summed axes are not neighbours there."""
        sizes = [source.shape[axis] for axis in layout]
        # Axes of size 1 do not separate their neighbours.
        places = [i for i, axis in enumerate(layout) if axis in self.axes and sizes[i] > 1]
        first, end = (places[0], places[-1] + 1) if places else (0, 0)
        count = prod(sizes[place] for place in places)
        if prod(sizes[first:end]) != count:
            return None
        return prod(sizes[:first]), count, prod(sizes[end:])

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        steps = arrays[0].astype(np.int64) - site.inputs[0].zero_point
        acc = steps.sum(axis=self.axes, keepdims=self.keepdim)
        return (self.rescale.apply(acc, axis=1 if 1 not in self.axes else acc.ndim - 1),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        run = self._run(source, site.input_layouts[0])
        if run is None:
            raise GraphError(f"{self.name}: axes {list(self.axes)} are not neighbours in memory")
        outer, count, inner = run
        fields = (
            ("outer", outer),
            ("count", count),
            ("inner", inner),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall("ares_mean", "mean.h", Struct("ares_mean_params", fields))
