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
    Layout,
    Site,
    Struct,
    require,
    require_codes,
    row_major,
)
from ares.ops._take import TOKENS


@dataclass(frozen=True, slots=True, eq=False)
class ZeroPad2d(KernelOperation):
    """`out[c,y,x] = in[c, y-top, x-left]` inside, `z` in the frame

    Input and output N C H W (batch 1), the same type, scale and zero point z. `padding` is
    (top, left, bottom, right), not negative. Of N C T it pads C by (top, bottom) and T by (left, right), of N F the
    features by (left, right).
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
            len(source.shape) in (2, 3, 4) and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected [1, C, H, W], [1, C, T] or [1, F]",
        )
        require(
            min(self.padding) >= 0,
            f"{self.name}: padding {self.padding} is negative, which crops; expected (top, left, bottom, "
            "right) of at least 0",
        )
        top, left, bottom, right = self.padding
        *outer, across = source.shape
        if len(outer) == 1:
            require(top == bottom == 0, f"{self.name}: padding {self.padding} adds to the batch")
        else:
            outer[-1] += top + bottom
        return (((*outer, left + across + right), (source.dtype,)),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        # An image of one channel, sequences lie either way round.
        if len(site.inputs[0].shape) == 3:
            layout = TOKENS if given[0] == TOKENS else row_major(3)
            return (layout,), (layout,)
        return KernelOperation.layouts(self, site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        top, left, bottom, right = self.padding
        codes = arrays[0].astype(np.int64)
        frame = ((0, 0),) * (codes.ndim - 2) + ((top, bottom), (left, right))
        return (np.pad(codes, frame, constant_values=site.inputs[0].zero_point),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        top, left, bottom, right = self.padding
        in_h, in_w = source.shape[-2:]
        if site.input_layouts[0] == TOKENS:
            in_h, in_w, top, left, bottom, right = in_w, in_h, left, top, right, bottom
        fields = (
            ("in_h", in_h),
            ("in_w", in_w),
            ("channels", source.shape[1] if len(source.shape) == 4 else 1),
            ("pad_top", top),
            ("pad_left", left),
            ("pad_bottom", bottom),
            ("pad_right", right),
            ("zero_point", source.zero_point),
        )
        return KernelCall(
            "ares_zero_pad2d", "zero_pad2d.h", Struct("ares_zero_pad2d_params", fields)
        )
