"""MaxPool2d on codes: order is kept, so the largest code is the code of the largest value.

eps: 0. No arithmetic: the output's code is an input's code in the same scale, `r` is that integer.
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
from ares.ops._window import Windows, counts, image_fields, image_windows, taps


@dataclass(frozen=True, slots=True, eq=False)
class MaxPool2d(KernelOperation):
    """`out[c,y,x] = max over i,j of in[c, y*s+i*d-p, x*s+j*d-p]`

    Input and output N C H W (batch 1), the same type, scale and zero point. `padding` is (top, left, bottom,
    right): positions outside never win. With `ceil_mode` a last window may reach past the bottom or right
    padding if it starts inside the input or its top or left padding.
    """

    OP_TYPE = "OP_MAXPOOL"
    LAYER_TYPE = "MaxPool2d"
    PYTHON_CLASS = "torch.nn.MaxPool2d"
    EPS = 0.0
    KERNEL = "max_pool2d"

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    ceil_mode: bool

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            len(source.shape) == 4 and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected [1, C, H, W]",
        )
        require(
            min(*self.kernel, *self.stride, *self.dilation) >= 1 and min(self.padding) >= 0,
            f"{self.name}: kernel {self.kernel}, stride {self.stride} and dilation {self.dilation} must be "
            f"positive, padding {self.padding} not negative",
        )
        # Of larger pads some window would see nothing else: the first one, or the last on its stride (rounding the
        # size up adds a window, which PyTorch drops when it starts in the padding).
        late = [stride * (2 if self.ceil_mode else 1) - 1 for stride in self.stride]
        all_padding = (
            f"{self.name}: a window lies in the padding {self.padding} only, it has no maximum"
        )
        for window, extra in zip(self._windows.values(), late, strict=True):
            require(
                window.before < window.reach and window.after < window.reach + extra, all_padding
            )
        sizes = counts(self.name, source.shape, self._windows)
        for axis, window in self._windows.items():
            places = window.positions(source.shape[axis])
            inside = (places >= 0) & (places < source.shape[axis])
            require(bool(inside.any(axis=1).all()), all_padding)
        return (((1, source.shape[1], *sizes), (source.dtype,)),)

    @property
    def _windows(self) -> Windows:
        return image_windows(self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        del site
        values = arrays[0].astype(np.int64)
        # One axis after the other: the maximum of a rectangle is the maximum of its rows' maxima.
        for axis, window in self._windows.items():
            seen = taps(values, {axis: window}, outside=np.iinfo(np.int64).min)
            values = seen.max(axis=-1)
        return (values,)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        fields = (
            *image_fields(source.shape, self._windows),
            ("channels", source.shape[1]),
            ("input_signed", source.dtype.lo < 0),
        )
        return KernelCall(
            "ares_max_pool2d", "max_pool2d.h", Struct("ares_max_pool2d_params", fields)
        )
