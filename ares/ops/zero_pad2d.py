"""ZeroPad2d on codes: a frame of the code that means zero.

eps: 0. No arithmetic: codes are copied, and the zero point is the code of zero exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import OutputRule, Tensor
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
class ZeroPad2d(KernelOperation):
    """`out[c,y,x] = in[c, y-top, x-left]` inside, `z` in the frame

    Input and output N C H W (batch 1), the same type, scale and zero point z. `padding` is
    (top, left, bottom, right), not negative.
    """

    OP_TYPE = "OP_ZEROPAD2D"
    LAYER_TYPE = "ZeroPad2d"
    PYTHON_CLASS = "torch.nn.ZeroPad2d"
    EPS = 0.0
    KERNEL = "zero_pad2d"

    padding: tuple[int, int, int, int]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            len(source.shape) == 4 and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected [1, C, H, W]",
        )
        require(
            min(self.padding) >= 0,
            f"{self.name}: padding {self.padding} is negative, which crops; expected (top, left, bottom, "
            "right) of at least 0",
        )
        _, channels, height, width = source.shape
        top, left, bottom, right = self.padding
        shape = (1, channels, top + height + bottom, left + width + right)
        return ((shape, (source.dtype,)),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        top, left, bottom, right = self.padding
        frame = ((0, 0), (0, 0), (top, bottom), (left, right))
        codes = arrays[0].astype(np.int64)
        return (np.pad(codes, frame, constant_values=site.inputs[0].zero_point),)

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
            ("zero_point", source.zero_point),
        )
        return KernelCall(
            "ares_zero_pad2d", "zero_pad2d.h", Struct("ares_zero_pad2d_params", fields)
        )
