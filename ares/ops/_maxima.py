"""What maxima over windows share: order is kept, so the largest code is the code of the largest value.

eps: 0. No arithmetic: the output's code is an input's code in the same scale, `r` is that integer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ares.ir import OutputRule, Tensor
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
)
from ares.ops._spans import Span, rows_of_signal, sliding, untouched
from ares.ops._window import Windows, counts


@dataclass(frozen=True, slots=True, eq=False)
class WindowMaximum(KernelOperation):
    """`out = max over a window of in` along the axes behind the channels, one or two (batch 1)."""

    EPS: ClassVar[float] = 0.0
    KERNEL: ClassVar[str] = "max_pool2d"
    RANK: ClassVar[int] = 4

    @abstractmethod
    def spans(self, shape: tuple[int, ...]) -> tuple[Span, ...]:
        """The windows along each axis behind the channels, for an input of that shape. GraphError: there are none."""

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        expected = "[1, C, H, W]" if self.RANK == 4 else "[1, C, L]"
        require(
            len(source.shape) == self.RANK and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected {expected}",
        )
        sizes = [span.out for span in self.spans(source.shape)]
        return (((1, source.shape[1], *sizes), (source.dtype,)),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        # Of one axis the channels may also be the rows of an image that has one channel.
        last = (channels_last(4),)
        return (last, last) if self.RANK == 4 else keep_layout(site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        del site
        values = arrays[0].astype(np.int64)
        # One axis after the other: the maximum of a rectangle is the maximum of its rows' maxima.
        for axis, span in enumerate(self.spans(values.shape), start=2):
            rows = [
                values.take([place for place in places if 0 <= place < span.size], axis=axis)
                for places in span.positions
            ]
            values = np.stack([row.max(axis=axis) for row in rows], axis=axis)
        return (values,)

    def lower(self, site: Site) -> KernelCall:
        (source,), (layout,) = site.inputs, site.input_layouts
        require(
            site.output_layouts == (layout,),
            f"{self.name}: layouts {layout} and {site.output_layouts}, expected one order",
        )
        spans, channels = self.spans(source.shape), source.shape[1]
        if self.RANK == 3:
            rows, channels = rows_of_signal(layout, channels)
            spans = (untouched(rows), *spans)
        down, across = spans
        fields = (
            ("down", down.struct),
            ("across", across.struct),
            ("channels", channels),
            ("input_signed", source.dtype.lo < 0),
        )
        return KernelCall(
            "ares_max_pool2d", "max_pool2d.h", Struct("ares_max_pool2d_params", fields)
        )


def pooled(name: str, shape: tuple[int, ...], windows: Windows) -> tuple[Span, ...]:
    """The windows of a kernel that slides. GraphError: one of them has no position inside the input."""
    numbers = [(w.kernel, w.stride, w.dilation) for w in windows.values()]
    padding = tuple(end for w in windows.values() for end in (w.before, w.after))
    require(
        min(map(min, numbers)) >= 1 and min(padding) >= 0,
        f"{name}: kernel, stride and dilation {numbers} must be positive, padding {padding} not negative",
    )
    all_padding = f"{name}: a window lies in the padding {padding} only, it has no maximum"
    for window in windows.values():
        # Of larger pads some window would see nothing else: the first one, or the last on its stride (rounding the
        # size up adds a window, which PyTorch drops when it starts in the padding).
        late = window.stride * (2 if window.ceil_mode else 1) - 1
        require(window.before < window.reach and window.after < window.reach + late, all_padding)
    counts(name, shape, windows)
    spans = tuple(sliding(window, shape[axis]) for axis, window in windows.items())
    for span in spans:
        inside = [any(0 <= place < span.size for place in places) for places in span.positions]
        require(all(inside), all_padding)
    return spans
