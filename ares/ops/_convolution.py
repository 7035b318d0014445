"""What convolutions share: geometry along one or two axes, exact sums, the fields of their kernels.

A convolution along one axis is that of an image of one row. Windows of results may be summed, as an average behind the
layer does: such a sum is an accumulator like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale, exact_matmul
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    channels_last,
    raw_excess,
    require,
    require_codes,
    rescale_struct,
    row_major,
    weight_bound,
)
from ares.ops._panels import GROUP, TILE_ROWS, TILE_SEGMENTS, padded, panels
from ares.ops._window import Window, Windows, counts, taps

_ONE = Window(1)
# A shorter run costs more to point at than to copy.
_LONG_RUN = 16
# Bytes that hold a pointer on every processor: ARES_DEPTHWISE_POINTER.
_POINTER = 8


def windows_along(
    kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> Windows:
    """Those along the axes behind the channels; `padding` is that before each axis, then that behind each."""
    rank = len(kernel)
    ends = zip(padding[:rank], padding[rank:], strict=True)
    sizes = zip(kernel, stride, ends, dilation, strict=True)
    return {
        axis: Window(taps, step, *pads, spread)
        for axis, (taps, step, pads, spread) in enumerate(sizes, start=2)
    }


@dataclass(frozen=True, slots=True, eq=False)
class Convolution(KernelOperation):
    """Input [1, C, T] or [1, C, H, W] codes; weight s8 [out, in / groups, kernel...]; padding is the real value zero.

    `padding` is that before each axis, then that behind each: (before, after) or (top, left, bottom, right).
    """

    weight: npt.NDArray[np.int8]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def windows(self) -> Windows:
        """The kernel's, along the axes behind the channels."""
        return windows_along(self.weight.shape[2:], self.stride, self.padding, self.dilation)

    def out_shape(self, inputs: Sequence[Tensor], constants: int) -> tuple[int, ...]:
        """The shape of the sums; raises GraphError where something does not fit. `constants`: channels of those."""
        (source,) = inputs
        require_codes(source)
        rank = self.weight.ndim
        require(
            len(source.shape) == rank,
            f"{self.name}: input has rank {len(source.shape)}, expected {rank}",
        )
        axes = rank - 2
        sizes = (len(self.stride), len(self.dilation), len(self.padding))
        require(
            axes in (1, 2) and sizes == (axes, axes, 2 * axes),
            f"{self.name}: strides, dilations and paddings {list(sizes)} for {axes} axes",
        )
        out_channels, depth = self.weight.shape[:2]
        require(
            source.shape[1] == depth * self.groups and out_channels % self.groups == 0,
            f"{self.name}: weight {list(self.weight.shape)} with {self.groups} groups does not fit "
            f"{source.shape[1]} input channels",
        )
        require(
            constants in (1, out_channels),
            f"{self.name}: {constants} multipliers for {out_channels} channels",
        )
        return (source.shape[0], out_channels, *counts(self.name, source.shape, self.windows))

    def accumulator_bound(self, site: Site) -> int:
        return weight_bound(self.weight, site.inputs[0])

    def macs(self, site: Site) -> int:
        return int(site.outputs[0].size * self.weight[0].size)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site, given
        order = channels_last(self.weight.ndim)
        return (order,), (order,)

    def sums(self, site: Site, codes: Array) -> Array:
        """Accumulators int64 [1, out, ...], in logical order."""
        axes = self.weight.ndim - 2
        seen = taps(codes.astype(np.int64) - site.inputs[0].zero_point, self.windows)[0]
        # [groups, positions, depth*taps] @ [groups, depth*taps, out/groups]
        channels, sizes, kernel = seen.shape[0], seen.shape[1 : 1 + axes], seen.shape[1 + axes :]
        columns = seen.reshape(self.groups, channels // self.groups, prod(sizes), prod(kernel))
        columns = columns.transpose(0, 2, 1, 3).reshape(self.groups, prod(sizes), -1)
        out_channels = self.weight.shape[0]
        weight = self.weight.reshape(self.groups, out_channels // self.groups, -1)
        acc = exact_matmul(columns, weight.transpose(0, 2, 1))
        return acc.transpose(0, 2, 1).reshape(1, out_channels, *sizes)

    def struct(self, site: Site, in_place: bool | None = None) -> Struct:
        """The initialiser of `ares_convolution` (runtime/inc/convolution.h); `in_place`: None where it is best."""
        (source,) = site.inputs
        in_place = self._is_in_place if in_place is None else in_place
        rows = self._patch_rows(in_place)
        packed = [panels(group) for group in np.split(rows, self.groups)]
        fields = (
            *two_windows(("down", "across"), source.shape, self.windows),
            ("in_c", source.shape[1]),
            ("out_c", self.weight.shape[0]),
            ("groups", self.groups),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("in_place", in_place),
            ("segments", rows.shape[1]),
            ("length", padded(rows.shape[2])),
            ("weight", np.concatenate(packed)),
        )
        return Struct("ares_convolution", fields)

    def scratch(self, site: Site, in_place: bool | None = None) -> int:
        """Bytes of `ares_convolution_patches`."""
        source = site.inputs[0].shape
        in_place = self._is_in_place if in_place is None else in_place
        if in_place and not reaches_outside(source, self.windows):
            return 0
        _, segments, length = self._patch_rows(in_place).shape
        results = prod(window.count(source[axis]) for axis, window in self.windows.items())
        return int(min(results, TILE_ROWS) * segments * padded(length))

    @property
    def _segments(self) -> int:
        """Runs of a patch that are neighbours in memory: rows of the kernel where its taps are, else taps."""
        kernel = self.weight.shape[2:]
        joined = self.groups == 1 and self.dilation[-1] == 1
        return int(prod(kernel[:-1]) if joined else prod(kernel))

    @property
    def _can_be_in_place(self) -> bool:
        """Whether patches can be read where they lie."""
        length = int(self.weight[0].size) // self._segments
        return self._segments <= TILE_SEGMENTS and length % GROUP == 0

    @property
    def _is_in_place(self) -> bool:
        """Whether that is best: long runs, and not too many."""
        length = int(self.weight[0].size) // self._segments
        return self._can_be_in_place and (length >= _LONG_RUN or self._segments == 1)

    def _patch_rows(self, in_place: bool) -> Array:
        """Weights [out, segments, length], in the order in which a patch has its codes."""
        order = (0, *range(2, self.weight.ndim), 1)
        segments = self._segments if in_place else 1
        return self.weight.transpose(order).reshape(len(self.weight), segments, -1)


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedConvolution(Convolution):
    """A convolution with everything up to the next quantiser, by the kernel of two axes."""

    KERNEL = "conv2d"
    EPS = 2.0**-20

    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        return ((self.out_shape(inputs, self.rescale.channels), CODES),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        return (self.rescale.apply(self.sums(site, arrays[0]), axis=1),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        rescale = rescale_struct(self.rescale, raw_excess(self.weight, source))
        if self.groups > 1 and self.groups == source.shape[1] == len(self.weight):
            return depthwise_call(source, self.windows, self.weight[:, 0], rescale)
        return self._call(site, rescale, self._is_in_place)

    def other_calls(self, site: Site) -> Sequence[KernelCall]:
        """By tiles, also where each channel is on its own; patches copied, and read where they lie if they can be."""
        rescale = rescale_struct(self.rescale, raw_excess(self.weight, site.inputs[0]))
        ways = (False, True) if self._can_be_in_place else (False,)
        return tuple(self._call(site, rescale, in_place) for in_place in ways)

    def _call(self, site: Site, rescale: Struct, in_place: bool) -> KernelCall:
        fields = (("conv", self.struct(site, in_place)), ("rescale", rescale))
        params = Struct("ares_conv2d_params", fields)
        return KernelCall("ares_conv2d", "conv2d.h", params, self.scratch(site, in_place))


@dataclass(frozen=True, slots=True, eq=False)
class SummedConvolution(Convolution):
    """A convolution whose results are summed in windows, whose padding adds nothing.

    `window`, `window_stride` and `window_padding` are as kernel, `stride` and `padding`. `axis` is that of the channels
    in input and output: 1, or the last one, as linear layers of tokens have it; the other axes are in their order.
    """

    window: tuple[int, ...]
    window_stride: tuple[int, ...]
    window_padding: tuple[int, ...]
    axis: int

    @property
    def sum_windows(self) -> Windows:
        """Those of the results, channels first."""
        ones = (1,) * len(self.window)
        return windows_along(self.window, self.window_stride, self.window_padding, ones)

    def out_shape(self, inputs: Sequence[Tensor], constants: int) -> tuple[int, ...]:
        (source,) = inputs
        axes, rank = len(self.stride), len(source.shape)
        require(
            self.axis in (1, rank - 1),
            f"{self.name}: channels along axis {self.axis} of {list(source.shape)}",
        )
        shape = Convolution.out_shape(self, (channels_first(source, self.axis),), constants)
        sizes = (len(self.window), len(self.window_stride), len(self.window_padding))
        require(
            sizes == (axes, axes, 2 * axes),
            f"{self.name}: windows, their strides and paddings {list(sizes)} for {axes} axes",
        )
        _, channels, *others = (*shape[:2], *counts(self.name, shape, self.sum_windows))
        others.insert(self.axis - 1, channels)
        return (shape[0], *others)

    def accumulator_bound(self, site: Site) -> int:
        return Convolution.accumulator_bound(self, site) * prod(self.window)

    def macs(self, site: Site) -> int:
        return Convolution.macs(self, site) * prod(self.window)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        rank = len(site.inputs[0].shape)
        order = channels_last(rank) if self.axis == 1 else row_major(rank)
        return (order,), (order,)

    def sums(self, site: Site, codes: Array) -> Array:
        first = np.moveaxis(codes, self.axis, 1)
        axes = tuple(range(first.ndim, 2 * first.ndim - 2))
        acc = taps(Convolution.sums(self, site, first), self.sum_windows).sum(axis=axes)
        return np.moveaxis(acc, 1, self.axis)

    def struct(self, site: Site, in_place: bool | None = None) -> Struct:
        first = Site((channels_first(site.inputs[0], self.axis),), ())
        return Convolution.struct(self, first, in_place)

    def scratch(self, site: Site, in_place: bool | None = None) -> int:
        first = Site((channels_first(site.inputs[0], self.axis),), ())
        return Convolution.scratch(self, first, in_place)

    def sum_fields(self, site: Site) -> tuple[tuple[str, Struct | Array], ...]:
        """The fields `rows`, `columns` and `weight_sums` of a kernel's params."""
        source = channels_first(site.inputs[0], self.axis).shape
        shape = (
            *source[:2],
            *(window.count(source[axis]) for axis, window in self.windows.items()),
        )
        excess = raw_excess(self.weight, site.inputs[0], prod(self.window))
        sums = self.weight.reshape(len(self.weight), -1).sum(axis=1, dtype=np.int32)
        return (
            *two_windows(("rows", "columns"), shape, self.sum_windows),
            ("weight_sums", sums if excess.any() else sums[:0]),
        )


def pointwise_calls(
    source: Tensor, weight: npt.NDArray[np.int8], rescale: Rescale
) -> Sequence[KernelCall]:
    """Those for features that lie last, weights s8 [out, in]: tokens are an image's pixels in one row."""
    pixels = replace(source, shape=(1, weight.shape[1], 1, source.size // weight.shape[1]))
    layer = QuantizedConvolution(
        *("", (source.name,), ("",)),
        weight=weight[:, :, np.newaxis, np.newaxis],
        stride=(1, 1),
        padding=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
        rescale=rescale,
    )
    site = Site((pixels,), ())
    return (layer.lower(site), *layer.other_calls(site))


def depthwise_call(source: Tensor, windows: Windows, weight: Array, rescale: Struct) -> KernelCall:
    """The call for weights s8 [channels, kernel...], one kernel a channel (runtime/inc/depthwise.h)."""
    channels, *kernel = weight.shape
    is_padded = reaches_outside(source.shape, windows)
    fields = (
        *two_windows(("down", "across"), source.shape, windows),
        ("channels", channels),
        ("input_zero_point", source.zero_point),
        ("input_signed", source.dtype.lo < 0),
        ("is_padded", is_padded),
        ("weight", np.moveaxis(weight, 0, -1)),
        ("rescale", rescale),
    )
    scratch = prod(kernel) * _POINTER + (channels if is_padded else 0)
    return KernelCall(
        "ares_depthwise", "depthwise.h", Struct("ares_depthwise_params", fields), scratch
    )


def reaches_outside(shape: tuple[int, ...], windows: Windows) -> bool:
    """Whether any window sees padding."""
    return any(
        window.before > 0
        or (window.count(shape[axis]) - 1) * window.stride - window.before + window.reach
        > shape[axis]
        for axis, window in windows.items()
    )


def channels_first(source: Tensor, axis: int) -> Tensor:
    """The tensor with its channels, which lie along `axis`, in front of the other axes."""
    order = list(source.shape)
    order.insert(1, order.pop(axis))
    return replace(source, shape=tuple(order))


def two_windows(
    names: tuple[str, str], shape: tuple[int, ...], windows: Windows
) -> tuple[tuple[str, Struct], ...]:
    """Fields of these names; where there is one axis, the first window stays on the one row."""
    structs = [window.struct(shape[axis]) for axis, window in windows.items()]
    first, second = structs if len(structs) == 2 else (_ONE.struct(1), *structs)
    return ((names[0], first), (names[1], second))
