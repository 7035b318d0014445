"""Windows along an axis whose size may differ from place to place: what pooling kernels walk over.

They slide (a pooling with kernel and stride) or share the axis as evenly as PyTorch does (adaptive pooling).
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._operation import Layout, Struct
from ares.ops._window import Window

Bounds = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Span:
    """Window i of `out` sees every `dilation`-th position from its start up to, not including, its end.

    start = floor(i * step / share) - before,  end = ceil((i * step + reach) / share) - before;
    positions outside 0 .. size - 1 are padding.
    """

    size: int
    out: int
    step: int
    share: int
    reach: int
    before: int = 0
    dilation: int = 1

    @property
    def bounds(self) -> tuple[Bounds, ...]:
        """(start, end) of every window, which may reach into the padding."""
        return tuple(
            (
                i * self.step // self.share - self.before,
                -(-(i * self.step + self.reach) // self.share) - self.before,
            )
            for i in range(self.out)
        )

    @property
    def positions(self) -> tuple[range, ...]:
        """What every window sees, padding included."""
        return tuple(range(start, end, self.dilation) for start, end in self.bounds)

    def within(self, first: int, last: int) -> tuple[Bounds, ...]:
        """`bounds`, cut off at `first` and `last`."""
        return tuple((max(start, first), min(end, last)) for start, end in self.bounds)

    @property
    def struct(self) -> Struct:
        """The initialiser of `ares_span` (runtime/inc/window.h)."""
        return Struct(
            "ares_span",
            (
                ("in", self.size),
                ("out", self.out),
                ("step", self.step),
                ("share", self.share),
                ("reach", self.reach),
                ("pad", self.before),
                ("dilation", self.dilation),
            ),
        )


def sliding(window: Window, size: int) -> Span:
    """The windows of a kernel that slides along `size` positions."""
    return Span(
        size, window.count(size), window.stride, 1, window.reach, window.before, window.dilation
    )


def adaptive(size: int, out: int) -> Span:
    """`out` windows that share `size` positions: [floor(i * size / out), ceil((i + 1) * size / out)), PyTorch's."""
    return Span(size, out, size, out, size)


def rows_of_signal(layout: Layout, channels: int) -> tuple[int, int]:
    """(rows, channels) of the image that a signal [1, C, L] is in memory: one row, or each channel a row of its own."""
    return (1, channels) if layout[-1] == 1 else (channels, 1)


def untouched(size: int) -> Span:
    """A window for each position."""
    return Span(size, size, 1, 1, 1)
