"""Windows that slide along axes of a tensor: convolutions and poolings share where their taps lie.

Tap j of window i lies at i * stride - before + j * dilation. Positions outside the input are padding: what they are
worth, the operation says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ops._operation import Array, Struct, require

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Window:
    """A window along one axis; `before` and `after` are the padding at its ends.

    With `ceil_mode` a last window may reach past the padding behind if it does not start in it, as in PyTorch.
    """

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil_mode: bool = False

    @property
    def reach(self) -> int:
        """Positions from its first tap to its last."""
        return self.dilation * (self.kernel - 1) + 1

    def count(self, size: int) -> int:
        """Windows along an axis of `size` positions; below 1 where the padded axis is shorter than the window."""
        steps = size + self.before + self.after - self.reach
        if not self.ceil_mode:
            return steps // self.stride + 1
        out = -(-steps // self.stride) + 1
        return out - 1 if (out - 1) * self.stride >= size + self.before else out

    def positions(self, size: int) -> npt.NDArray[np.int64]:
        """Input index of every tap of every window, [count, kernel]; what is not in 0 .. size - 1 is padding."""
        starts = np.arange(self.count(size)) * self.stride - self.before
        return starts[:, None] + np.arange(self.kernel) * self.dilation

    def struct(self, size: int) -> Struct:
        """The initialiser of `ares_window` (runtime/inc/window.h)."""
        return Struct(
            "ares_window",
            (
                ("in", size),
                ("out", self.count(size)),
                ("kernel", self.kernel),
                ("stride", self.stride),
                ("pad", self.before),
                ("dilation", self.dilation),
            ),
        )


Windows = Mapping[int, Window]
"""Axis of the tensor -> the window that slides along it."""


def image_windows(
    kernel: Pair,
    stride: Pair,
    padding: tuple[int, int, int, int],
    dilation: Pair = (1, 1),
    ceil_mode: bool = False,
) -> Windows:
    """Those along H and W of N C H W; `padding` is (top, left, bottom, right)."""
    ends = zip(padding[:2], padding[2:], strict=True)
    sizes = zip(kernel, stride, ends, dilation, strict=True)
    return {
        axis: Window(taps, step, *pads, spread, ceil_mode)
        for axis, (taps, step, pads, spread) in enumerate(sizes, start=2)
    }


def counts(name: str, shape: tuple[int, ...], windows: Windows) -> tuple[int, ...]:
    """Windows along each of their axes of a tensor of that shape; GraphError where one has none."""
    found = tuple(window.count(shape[axis]) for axis, window in windows.items())
    require(min(found) >= 1, f"{name}: kernel is larger than the padded input")
    return found


def image_fields(shape: tuple[int, ...], windows: Windows) -> tuple[tuple[str, Struct], ...]:
    """The fields `down` and `across` of a kernel's params, for an input of that shape."""
    return (("down", windows[2].struct(shape[2])), ("across", windows[3].struct(shape[3])))


def taps(array: Array, windows: Windows, outside: int = 0) -> Array:
    """What the windows see: for each of them its axis counts windows, and one more axis at the end holds its taps.

    A view; padding has the value `outside`.
    """
    pads = [(0, 0)] * array.ndim
    starts = [slice(None)] * array.ndim
    for axis, window in windows.items():
        size, last = array.shape[axis], (window.count(array.shape[axis]) - 1) * window.stride
        pads[axis] = (window.before, max(last + window.reach - window.before - size, 0))
        starts[axis] = slice(0, last + 1, window.stride)
    seen = np.lib.stride_tricks.sliding_window_view(
        np.pad(array, pads, constant_values=outside),
        [window.reach for window in windows.values()],
        axis=tuple(windows),
    )
    return seen[(*starts, *(slice(None, None, window.dilation) for window in windows.values()))]
