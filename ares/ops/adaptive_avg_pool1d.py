"""AdaptiveAvgPool1d with everything up to the next quantiser: one exact sum a window, one rounding.

Windows have one or two lengths, and each length its own divisor, hence its own constants.

eps: as `ares.ops.avg_pool2d`, whose bound holds for a window of any size.
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


def windows(length: int, count: int) -> list[tuple[int, int]]:
    """PyTorch's windows: [floor(i * length / count), ceil((i + 1) * length / count))."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveAvgPool1d(KernelOperation):
    """`out[c,i] = rescale(sum over k from floor(i*L/O) to ceil((i+1)*L/O) - 1 of (in[c,k] - z))`

    Input N C L, output N C O (batch 1), any O. `rescales` holds one Rescale for each length of a window, from the
    shortest that occurs to the longest; the divisor is part of it.
    """

    OP_TYPE = "OP_AVGPOOL"
    LAYER_TYPE = "AdaptiveAvgPool1d"
    PYTHON_CLASS = "torch.nn.AdaptiveAvgPool1d"
    EPS = 2.0**-22
    KERNEL = "adaptive_avg_pool1d"

    out_length: int
    rescales: tuple[Rescale, ...]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            len(source.shape) == 3 and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected [1, C, L]",
        )
        require(self.out_length >= 1, f"{self.name}: {self.out_length} outputs, expected 1 or more")
        lengths = self._lengths(source)
        require(
            len(self.rescales) == max(lengths) - min(lengths) + 1
            and all(rescale.channels == 1 for rescale in self.rescales),
            f"{self.name}: {len(self.rescales)} sets of constants for windows of {min(lengths)} to "
            f"{max(lengths)} elements, expected one each, for the whole tensor",
        )
        return (((*source.shape[:2], self.out_length), CODES),)

    def _lengths(self, source: Tensor) -> list[int]:
        return [end - start for start, end in windows(source.shape[2], self.out_length)]

    def accumulator_bound(self, site: Site) -> int:
        (source,) = site.inputs
        return max(self._lengths(source)) * source.largest_magnitude

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        return keep_layout(site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (source,) = site.inputs
        steps = arrays[0].astype(np.int64) - source.zero_point
        shortest = min(self._lengths(source))
        columns = [
            self.rescales[end - start - shortest].apply(steps[:, :, start:end].sum(axis=2))
            for start, end in windows(source.shape[2], self.out_length)
        ]
        return (np.stack(columns, axis=2),)

    def lower(self, site: Site) -> KernelCall:
        (source,), (layout,) = site.inputs, site.input_layouts
        require(
            site.output_layouts == (layout,),
            f"{self.name}: layouts {layout} and {site.output_layouts}, expected one order",
        )
        shape, place = site.input_memory_shape(), layout.index(2)
        fields = (
            ("outer", prod(shape[:place])),
            ("in_length", shape[place]),
            ("inner", prod(shape[place + 1 :])),
            ("out_length", self.out_length),
            ("shortest", min(self._lengths(source))),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("rescales", tuple(rescale_struct(rescale) for rescale in self.rescales)),
        )
        return KernelCall(
            "ares_adaptive_avg_pool1d",
            "adaptive_avg_pool1d.h",
            Struct("ares_adaptive_avg_pool1d_params", fields),
        )
