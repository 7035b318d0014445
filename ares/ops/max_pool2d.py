"""MaxPool2d on codes: order is kept, so the largest code is the code of the largest value.

eps: 0. No arithmetic: the output's code is an input's code in the same scale, `r` is that integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import OutputRule, Tensor
from ares.ops._operation import Array, Call, KernelOperation, Site, Struct, require, require_codes


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
        allowed = [
            self._reach(axis) + extra
            for extras in ((0, 0), late)
            for axis, extra in enumerate(extras)
        ]
        require(
            all(pad < limit for pad, limit in zip(self.padding, allowed, strict=True)),
            f"{self.name}: a window lies in the padding {self.padding} only, it has no maximum",
        )
        sizes = tuple(self._out_size(source, axis) for axis in (0, 1))
        require(min(sizes) >= 1, f"{self.name}: kernel is larger than the padded input")
        for axis in (0, 1):
            rows = self._positions(axis, sizes[axis])
            inside = (rows >= 0) & (rows < source.shape[2 + axis])
            require(
                bool(inside.any(axis=1).all()),
                f"{self.name}: a window lies in the padding {self.padding} only, it has no maximum",
            )
        return (((1, source.shape[1], *sizes), (source.dtype,)),)

    def _reach(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def _out_size(self, source: Tensor, axis: int) -> int:
        size, before, after = source.shape[2 + axis], self.padding[axis], self.padding[axis + 2]
        stride = self.stride[axis]
        steps = size + before + after - self._reach(axis)
        if not self.ceil_mode:
            return steps // stride + 1
        out = (steps + stride - 1) // stride + 1
        # PyTorch drops a window that would start in the bottom or right padding.
        return out - 1 if (out - 1) * stride >= size + before else out

    def _positions(self, axis: int, out: int) -> Array:
        """Input index of every tap of every window, [out, kernel]."""
        starts = np.arange(out) * self.stride[axis] - self.padding[axis]
        return starts[:, None] + np.arange(self.kernel[axis]) * self.dilation[axis]

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (result,) = site.outputs
        values = arrays[0].astype(np.int64)
        # One axis after the other: the maximum of a rectangle is the maximum of its rows' maxima.
        for axis in (0, 1):
            taps = self._positions(axis, result.shape[2 + axis])
            size = values.shape[2 + axis]
            inside = (taps >= 0) & (taps < size)
            shape = [1, 1, 1, 1]
            shape[2 + axis : 3 + axis] = taps.shape
            picked = values.take(taps.clip(0, size - 1), axis=2 + axis)
            lowest = np.iinfo(np.int64).min
            values = np.where(inside.reshape(shape), picked, lowest).max(axis=3 + axis)
        return (values,)

    def lower(self, site: Site) -> Call:
        (source,), (result,) = site.inputs, site.outputs
        _, channels, in_h, in_w = source.shape
        fields = (
            ("in_h", in_h),
            ("in_w", in_w),
            ("channels", channels),
            ("out_h", result.shape[2]),
            ("out_w", result.shape[3]),
            ("kernel_h", self.kernel[0]),
            ("kernel_w", self.kernel[1]),
            ("stride_h", self.stride[0]),
            ("stride_w", self.stride[1]),
            ("pad_top", self.padding[0]),
            ("pad_left", self.padding[1]),
            ("dilation_h", self.dilation[0]),
            ("dilation_w", self.dilation[1]),
            ("input_signed", source.dtype.lo < 0),
        )
        return Call("ares_max_pool2d", "max_pool2d.h", Struct("ares_max_pool2d_params", fields))
