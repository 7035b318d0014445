"""BatchNorm on codes, and what else has a factor, an offset or a function for each channel of codes.

Behind a convolution or linear layer BatchNorm is part of that layer (N3). This operation is for networks that
normalise codes (pre-activation), Brevitas' QuantScaleBias, PReLU with a slope for each channel.

eps: as `ares.ops.conv2d`, with a code in place of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

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
    keep_layout,
    require,
    require_codes,
    rescale_struct,
)


@dataclass(frozen=True, slots=True, eq=False)
class BatchNorm(KernelOperation):
    """`out[...,c,...] = rescale_c(in[...,c,...] - z)`

    Any shape; `axis` is that of the channels, never the batch. `rescale` has a multiplier and an offset, or a table of
    steps, for each channel.
    """

    OP_TYPE = "OP_BATCHNORM"
    LAYER_TYPE = "BatchNorm"
    PYTHON_CLASS = "torch.nn.BatchNorm2d"
    EPS = 2.0**-20
    KERNEL = "batch_norm"

    axis: int
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            1 <= self.axis < len(source.shape),
            f"{self.name}: its channels are axis {self.axis} of {list(source.shape)} (axis 0 is the batch)",
        )
        channels = source.shape[self.axis]
        require(
            self.rescale.channels in (1, channels),
            f"{self.name}: constants for {self.rescale.channels} channels, expected {channels}",
        )
        return ((source.shape, CODES),)

    def accumulator_bound(self, site: Site) -> int:
        return site.inputs[0].largest_magnitude

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        return keep_layout(site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        steps = arrays[0].astype(np.int64) - site.inputs[0].zero_point
        return (self.rescale.apply(steps, axis=self.axis),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        sizes = site.input_memory_shape()
        place = site.input_layouts[0].index(self.axis)
        fields = (
            ("outer", prod(sizes[:place])),
            ("channels", sizes[place]),
            ("inner", prod(sizes[place + 1 :])),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall(
            "ares_batch_norm",
            "batch_norm.h",
            Struct("ares_batch_norm_params", fields),
            in_place=(0,),
        )
