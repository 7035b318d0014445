"""AdaptiveAvgPool2d(1) with everything up to the next quantiser: one exact sum, one rounding.

eps: as `ares.ops.avg_pool2d`, whose bound holds for a window of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import CODES, OutputRule, Tensor
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
class GlobalAvgPool(KernelOperation):
    """`out[n,c,0,0] = rescale(sum over y,x of (in[n,c,y,x] - z))`

    Input N C H W, output N C 1 1. The divisor H * W is part of `rescale`.
    """

    OP_TYPE = "OP_GLOBAL_AVGPOOL"
    LAYER_TYPE = "GlobalAvgPool"
    PYTHON_CLASS = "torch.nn.AdaptiveAvgPool2d"
    EPS = 2.0**-22
    KERNEL = "mean"

    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            len(source.shape) == 4,
            f"{self.name}: input {list(source.shape)} has rank {len(source.shape)}, expected 4",
        )
        require(
            self.rescale.channels in (1, source.shape[1]),
            f"{self.name}: {self.rescale.channels} multipliers for {source.shape[1]} channels",
        )
        return (((*source.shape[:2], 1, 1), CODES),)

    def accumulator_bound(self, site: Site) -> int:
        (source,) = site.inputs
        return source.shape[2] * source.shape[3] * source.largest_magnitude

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site
        # H and W are neighbours in PyTorch's order too: no copy where the input lies that way.
        planes = given[0] == row_major(4) and self.rescale.channels == 1
        order = row_major(4) if planes else channels_last(4)
        return (order,), (channels_last(4),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        steps = arrays[0].astype(np.int64) - site.inputs[0].zero_point
        return (self.rescale.apply(steps.sum(axis=(2, 3), keepdims=True), axis=1),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        batch, channels, height, width = source.shape
        planes = site.input_layouts[0] == row_major(4)
        fields = (
            ("outer", batch * channels if planes else batch),
            ("count", height * width),
            ("inner", 1 if planes else channels),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall("ares_mean", "mean.h", Struct("ares_mean_params", fields))
