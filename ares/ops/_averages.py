"""What averages over windows share: one exact sum a window, one rounding, and a divisor that is part of the constants.

eps: the zero point in the offset is exact, so only the multiplier's rounding counts: |acc| * 2**-(s + 1).
Where M < 2**31 limits s, M >= 2**30 - 1 and a code inside its range has |acc| * M / 2**s < 256, which gives
2**-23. Where the 62 bits of acc * M + B limit s, either M >= 2**29 - 1 (2**-22) or B, the zero point's part,
is at least 2**60, so s > 52 and |acc| < 2**31 gives 2**-23. Hence 2**-22 for windows of any size.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

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
    channels_last,
    keep_layout,
    require,
    require_codes,
    rescale_struct,
)
from ares.ops._spans import Span, rows_of_signal, sliding, untouched
from ares.ops._window import Windows, counts, image_windows

MOST_WINDOWS = 2**18


@dataclass(frozen=True, slots=True)
class Counted:
    """Windows along one axis, and which of their positions the divisor counts: those in `first` .. `last` - 1.

    Positions in front of 0 and behind the input are padding, which may count. `alike`: the divisor is the same for all
    windows, whatever they count.
    """

    span: Span
    first: int
    last: int
    alike: bool = False

    @property
    def sizes(self) -> range:
        """The numbers of positions for which there are constants: from the smallest that a window counts on."""
        found = [end - start for start, end in self.span.within(self.first, self.last)]
        return range(1) if self.alike else range(min(found), max(found) + 1)

    @property
    def largest(self) -> int:
        """The most positions inside the input that a window has."""
        return max(0, *(end - start for start, end in self.inside))

    @property
    def inside(self) -> tuple[tuple[int, int], ...]:
        return self.span.within(0, self.span.size)

    def place(self, window: int) -> int:
        """Which of `sizes` window number `window` has."""
        if self.alike:
            return 0
        start, end = self.span.within(self.first, self.last)[window]
        return end - start - self.sizes.start

    def struct(self, stride: int) -> Struct:
        """The initialiser of `ares_counted` (runtime/inc/avg_pool2d.h)."""
        numbers = (0, 0, 0, 0) if self.alike else (self.first, self.last, self.sizes.start, stride)
        names = ("from", "to", "shortest", "stride")
        return Struct("ares_counted", tuple(zip(names, numbers, strict=True)))


def all_of(span: Span) -> Counted:
    """Windows that count what of them lies inside the input."""
    return Counted(span, 0, span.size)


def pooled(
    name: str, shape: tuple[int, ...], windows: Windows, count_include_pad: bool, alike: bool
) -> tuple[Counted, ...]:
    """The windows of a kernel that slides, and what they count: PyTorch's rule (ATen's avg_pool2d).

    Positions behind the padding, where `ceil_mode` lets a window reach, never count. GraphError where an axis has no
    window.
    """
    kernels = [window.kernel for window in windows.values()]
    strides = [window.stride for window in windows.values()]
    padding = [(window.before, window.after) for window in windows.values()]
    require(
        min(*kernels, *strides, 1) >= 1 and min(*sum(padding, ()), 0) >= 0,
        f"{name}: kernel {kernels} and stride {strides} must be positive, padding {padding} not negative",
    )
    # A stranger's file may have padding without end, and each window is looked at.
    most = max(counts(name, shape, windows))
    require(most <= MOST_WINDOWS, f"{name}: {most} windows along an axis, expected at most 2**18")
    found = []
    for axis, window in windows.items():
        size = shape[axis]
        first, last = (-window.before, size + window.after) if count_include_pad else (0, size)
        found.append(Counted(sliding(window, size), first, last, alike))
    return tuple(found)


def divisors(axes: Sequence[Counted]) -> tuple[int, ...]:
    """The number of counted positions for which an average has constants, in their order."""
    return tuple(int(np.prod(sizes)) for sizes in product(*(axis.sizes for axis in axes)))


@dataclass(frozen=True, slots=True, eq=False)
class WindowAverage(KernelOperation):
    """`out = rescale(sum over a window of (in - z))` along the axes behind the channels, one or two (batch 1)."""

    EPS: ClassVar[float] = 2.0**-22
    KERNEL: ClassVar[str] = "avg_pool2d"
    RANK: ClassVar[int] = 4

    @abstractmethod
    def counted(self, shape: tuple[int, ...]) -> tuple[Counted, ...]:
        """The windows along each axis behind the channels, for an input of that shape. GraphError: there are none."""

    @property
    @abstractmethod
    def constants(self) -> tuple[Rescale, ...]:
        """One for each of `divisors`."""

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        expected = "[1, C, H, W]" if self.RANK == 4 else "[1, C, L]"
        require(
            len(source.shape) == self.RANK and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected {expected}",
        )
        axes = self.counted(source.shape)
        wanted = len(divisors(axes))
        require(
            min(axis.sizes.start for axis in axes) >= 1 or wanted == 1,
            f"{self.name}: a window lies in the padding only, which is not counted",
        )
        sizes = " x ".join(f"{axis.sizes[0]} to {axis.sizes[-1]}" for axis in axes)
        require(
            len(self.constants) == wanted
            and all(r.channels in (1, source.shape[1]) for r in self.constants),
            f"{self.name}: {len(self.constants)} sets of constants for windows of {sizes} elements, expected "
            f"one each, for the whole tensor or its {source.shape[1]} channels",
        )
        return (((*source.shape[:2], *(axis.span.out for axis in axes)), CODES),)

    def accumulator_bound(self, site: Site) -> int:
        (source,) = site.inputs
        sizes = [axis.largest for axis in self.counted(source.shape)]
        return int(np.prod(sizes)) * source.largest_magnitude

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        # Of one axis the channels may also be the rows of an image that has one channel.
        last = (channels_last(self.RANK),)
        alone = self.RANK == 3 and all(rescale.channels == 1 for rescale in self.constants)
        return keep_layout(site, given) if alone else (last, last)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (source,) = site.inputs
        acc = arrays[0].astype(np.int64) - source.zero_point
        places = np.zeros((), np.int64)
        # One axis after the other: the sum of a rectangle is the sum of its rows' sums.
        for axis, counted in enumerate(self.counted(source.shape), start=2):
            # A window of nothing but padding is empty.
            starts, ends = np.clip(np.array(counted.inside).T, 0, counted.span.size)
            starts = np.minimum(starts, ends)
            sums = np.cumsum(np.insert(acc, 0, 0, axis=axis), axis=axis)
            acc = sums.take(ends, axis=axis) - sums.take(starts, axis=axis)
            windows = [counted.place(i) for i in range(counted.span.out)]
            places = places[..., None] * len(counted.sizes) + np.array(windows)
        codes = np.zeros_like(acc)
        for place in np.unique(places):
            codes = np.where(places == place, self.constants[place].apply(acc, axis=1), codes)
        return (codes,)

    def lower(self, site: Site) -> KernelCall:
        (source,), (layout,) = site.inputs, site.input_layouts
        require(
            site.output_layouts == (layout,),
            f"{self.name}: layouts {layout} and {site.output_layouts}, expected one order",
        )
        axes, channels = self.counted(source.shape), source.shape[1]
        if self.RANK == 3:
            rows, channels = rows_of_signal(layout, channels)
            axes = (Counted(untouched(rows), 0, 0, alike=True), *axes)
        down, across = axes
        fields = (
            ("down", down.span.struct),
            ("across", across.span.struct),
            ("rows", down.struct(len(across.sizes))),
            ("columns", across.struct(1)),
            ("channels", channels),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("rescales", tuple(rescale_struct(rescale) for rescale in self.constants)),
        )
        return KernelCall(
            "ares_avg_pool2d", "avg_pool2d.h", Struct("ares_avg_pool2d_params", fields)
        )


@dataclass(frozen=True, slots=True, eq=False)
class SlidingAverage(WindowAverage):
    """Over windows that slide along an image, with one divisor for all; `padding` is (top, left, bottom, right)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    rescale: Rescale

    @property
    def constants(self) -> tuple[Rescale, ...]:
        return (self.rescale,)

    def counted(self, shape: tuple[int, ...]) -> tuple[Counted, ...]:
        windows = image_windows(self.kernel, self.stride, self.padding)
        return pooled(self.name, shape, windows, count_include_pad=True, alike=True)
