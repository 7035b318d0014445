"""Windows of a layer's results that are summed before anything is rounded, as fields of a `SummedConvolution`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import frozen_array
from ares.ops._window import Window, Windows

_ONE = Window(1)


@dataclass(frozen=True, slots=True)
class Geometry:
    """A convolution's, as its operation has it. `is_last`: channels are the last axis, as a linear layer's are."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    is_last: bool = False

    def fields(self) -> dict[str, Any]:
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }


def of_tokens(rank: int) -> Geometry:
    """A linear layer's on a tensor of that rank, 3 or 4: a convolution with a kernel of one."""
    axes = rank - 2
    return Geometry((1,) * axes, (0,) * (2 * axes), (1,) * axes, 1, is_last=True)


@dataclass(frozen=True, slots=True)
class Summing:
    """`windows` along axes of the layer's results, of that rank; along the others each position stays alone."""

    geometry: Geometry
    windows: Windows
    rank: int

    @property
    def axis(self) -> int:
        """That of the channels."""
        return self.rank - 1 if self.geometry.is_last else 1

    @property
    def positions(self) -> int:
        """How many results a window sums."""
        return prod(window.kernel for window in self.windows.values())

    @property
    def is_padded(self) -> bool:
        return any(window.before or window.after for window in self.windows.values())

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of the sums of results of that shape."""
        return tuple(
            self.windows[axis].count(size) if axis in self.windows else size
            for axis, size in enumerate(shape)
        )

    def fields(self, weight: npt.NDArray[Any]) -> dict[str, Any]:
        """Those of a `SummedConvolution` but for the constants; `weight` is the layer's."""
        others = [axis for axis in range(1, self.rank) if axis != self.axis]
        along = [self.windows.get(axis, _ONE) for axis in others]
        ones = (1,) * (self.rank - weight.ndim)
        return {
            "weight": frozen_array(weight.reshape(*weight.shape, *ones), np.int8),
            **self.geometry.fields(),
            "window": tuple(window.kernel for window in along),
            "window_stride": tuple(window.stride for window in along),
            "window_padding": (
                *(window.before for window in along),
                *(window.after for window in along),
            ),
            "axis": self.axis,
        }
