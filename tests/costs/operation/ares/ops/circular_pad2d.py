"""CircularPad2d on codes: the image goes on behind its edge with what lies at the other one.

eps: 0. No arithmetic: codes are copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import OutputRule, Tensor
from ares.ops._moves import require_unchanged
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Site,
    Struct,
    require,
    require_codes,
)


@dataclass(frozen=True, slots=True, eq=False)
class CircularPad2d(KernelOperation):
    """`out[c,y,x] = in[c, (y - top) mod H, (x - left) mod W]`

    Input and output N C H W (batch 1), the same type, scale and zero point. `padding` is (top, left, bottom, right),
    each from 0 to the size that it repeats.
    """

    OP_TYPE = "OP_CIRCULAR_PAD2D"
    LAYER_TYPE = "CircularPad2d"
    PYTHON_CLASS = "torch.nn.CircularPad2d"
    EPS = 0.0
    KERNEL = "circular_pad2d"

    padding: tuple[int, int, int, int]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            len(source.shape) == 4 and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected [1, C, H, W]",
        )
        _, channels, height, width = source.shape
        top, left, bottom, right = self.padding
        require(
            all(0 <= pad <= height for pad in (top, bottom))
            and all(0 <= pad <= width for pad in (left, right)),
            f"{self.name}: padding {self.padding} of {height} x {width}, expected (top, left, bottom, right) from 0 "
            "to that size",
        )
        shape = (1, channels, top + height + bottom, left + width + right)
        return ((shape, (source.dtype,)),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        require_unchanged(self.name, site)
        top, left, bottom, right = self.padding
        frame = ((0, 0), (0, 0), (top, bottom), (left, right))
        return (np.pad(arrays[0], frame, mode="wrap"),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        _, channels, in_h, in_w = source.shape
        fields = (
            ("in_h", in_h),
            ("in_w", in_w),
            ("channels", channels),
            ("pad_top", self.padding[0]),
            ("pad_left", self.padding[1]),
            ("pad_bottom", self.padding[2]),
            ("pad_right", self.padding[3]),
        )
        return KernelCall(
            "ares_circular_pad2d", "circular_pad2d.h", Struct("ares_circular_pad2d_params", fields)
        )
