"""An average of codes whose result stays real (N9): a network that ends with global average pooling or a mean.

eps: as `ares.ops.linear_fp32`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from ares.ir import DType, OutputRule, Tensor, frozen_array
from ares.ops._convolution import channels_first, two_windows, windows_along
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
    row_major,
)
from ares.ops._real_output import real_output, require_constants, unit_of
from ares.ops._window import Windows, counts, taps


@dataclass(frozen=True, slots=True, eq=False)
class AverageFp32(KernelOperation):
    """`out[c,y,x] = (float)(sum over a window at y,x of (in[c, ...] - z)) * scale[c] + bias[c]`

    Input codes [1, C, H, W] or [1, C, T], or with the channels last; output binary32. `window`, `stride` and `padding`
    are those along the other axes in their order; `padding` is that before each axis, then that behind each, and adds
    nothing. The divisor is part of `scale` [C]; `bias` [C] may be empty. `axis` is that of the channels, 1 or the last.
    """

    OP_TYPE = "OP_AVGPOOL_FP32"
    LAYER_TYPE = "GlobalAvgPool"
    PYTHON_CLASS = "torch.nn.AdaptiveAvgPool2d"
    EPS = 2.0**-21
    KERNEL = "average_fp32"

    window: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    axis: int
    scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    @property
    def windows(self) -> Windows:
        """Those along the axes behind the channels, channels first."""
        return windows_along(self.window, self.stride, self.padding, (1,) * len(self.window))

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        axes, rank = len(self.window), len(source.shape)
        require(
            rank == axes + 2 and axes in (1, 2),
            f"{self.name}: input has rank {rank}, expected {axes + 2}, 3 or 4",
        )
        require(
            self.axis in (1, rank - 1),
            f"{self.name}: channels along axis {self.axis} of {list(source.shape)}",
        )
        require(
            (len(self.stride), len(self.padding)) == (axes, 2 * axes)
            and min(*self.window, *self.stride) >= 1
            and min(self.padding) >= 0,
            f"{self.name}: windows {self.window}, strides {self.stride}, padding {self.padding} of {axes} axes",
        )
        shape = channels_first(source, self.axis).shape
        require_constants(self.name, shape[1], self.scale, frozen_array([], np.int32), self.bias)
        sizes = list(counts(self.name, shape, self.windows))
        sizes.insert(self.axis - 1, shape[1])
        return (((shape[0], *sizes), (DType.F32,)),)

    def accumulator_bound(self, site: Site) -> int:
        return prod(self.window) * site.inputs[0].largest_magnitude

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        rank = len(site.inputs[0].shape)
        order = channels_last(rank) if self.axis == 1 else row_major(rank)
        return (order,), (order,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        steps = np.moveaxis(arrays[0].astype(np.int64) - site.inputs[0].zero_point, self.axis, 1)
        seen = taps(steps, self.windows)
        acc = np.moveaxis(seen.sum(axis=tuple(range(steps.ndim, seen.ndim))), 1, self.axis)
        none = frozen_array([], np.int32)
        return (real_output(acc, self.scale, none, self.bias, axis=self.axis),)

    def unit(self, output: Tensor) -> Array:
        return unit_of(self.scale, output, self.axis)

    def lower(self, site: Site) -> KernelCall:
        source = channels_first(site.inputs[0], self.axis)
        fields = (
            *two_windows(("down", "across"), source.shape, self.windows),
            ("channels", source.shape[1]),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("scale", self.scale),
            ("bias", self.bias),
        )
        params = Struct("ares_average_fp32_params", fields)
        return KernelCall("ares_average_fp32", "average_fp32.h", params)
