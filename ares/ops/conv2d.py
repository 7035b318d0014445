"""QuantConv2d with everything up to the next quantiser: one exact sum, one rounding.

eps: the multiplier is exact to one part in 2**31 (N3) and the offset to 2**-(s + 1), so a code inside the range is
off by at most (256 + 2 * |bias / scale + z|) / (2**31 - 2) + 2**-(s + 1), under 2**-20 for |bias| below 500 codes.
A function of the accumulator (GELU) adds 1.5 * |f'| * unit / scale for the grid (`ares.numerics.tables`), under
2**-20 for scales above 0.0033; the witness judges every code all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale, exact_matmul
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Site,
    Struct,
    require,
    require_codes,
    rescale_struct,
    weight_bound,
)
from ares.ops._window import Windows, counts, image_fields, image_windows, taps


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d(KernelOperation):
    """`out[o,y,x] = rescale(sum over c,i,j of (in[c, y*s+i*d-p, x*s+j*d-p] - z) * w[o,c,i,j])`

    Input and output N C H W (batch 1); weight s8 [out, in / groups, kh, kw]; padding is the real value zero.
    `padding` is (top, left, bottom, right).
    """

    OP_TYPE = "OP_CONV2D"
    LAYER_TYPE = "QuantConv2d"
    PYTHON_CLASS = "brevitas.nn.QuantConv2d"
    EPS = 2.0**-20
    KERNEL = "conv2d"

    weight: npt.NDArray[np.int8]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            len(source.shape) == 4, f"{self.name}: input has rank {len(source.shape)}, expected 4"
        )
        out_channels, depth = self.weight.shape[:2]
        require(
            source.shape[1] == depth * self.groups and out_channels % self.groups == 0,
            f"{self.name}: weight {list(self.weight.shape)} with {self.groups} groups does not fit "
            f"{source.shape[1]} input channels",
        )
        require(
            self.rescale.channels in (1, out_channels),
            f"{self.name}: {self.rescale.channels} multipliers for {out_channels} channels",
        )
        sizes = counts(self.name, source.shape, self._windows)
        return (((source.shape[0], out_channels, *sizes), CODES),)

    @property
    def _windows(self) -> Windows:
        _, _, height, width = self.weight.shape
        return image_windows((height, width), self.stride, self.padding, self.dilation)

    def accumulator_bound(self, site: Site) -> int:
        return weight_bound(self.weight, site.inputs[0])

    def macs(self, site: Site) -> int:
        return int(site.outputs[0].size * self.weight[0].size)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (source,), (result,) = site.inputs, site.outputs
        seen = taps(arrays[0].astype(np.int64) - source.zero_point, self._windows)[0]
        # [groups, positions, depth*kh*kw] @ [groups, depth*kh*kw, out/groups]
        channels, height, width, *kernel = seen.shape
        columns = seen.reshape(self.groups, channels // self.groups, height, width, *kernel)
        columns = columns.transpose(0, 2, 3, 1, 4, 5).reshape(self.groups, height * width, -1)
        weight = self.weight.reshape(self.groups, self.weight.shape[0] // self.groups, -1)
        acc = exact_matmul(columns, weight.transpose(0, 2, 1))
        logical = acc.transpose(0, 2, 1).reshape(result.shape)
        return (self.rescale.apply(logical, axis=1),)

    def lower(self, site: Site) -> KernelCall:
        (source,), (result,) = site.inputs, site.outputs
        fields = (
            *image_fields(source.shape, self._windows),
            ("in_c", source.shape[1]),
            ("out_c", result.shape[1]),
            ("groups", self.groups),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("weight", self.weight.transpose(0, 2, 3, 1)),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall("ares_conv2d", "conv2d.h", Struct("ares_conv2d_params", fields))
