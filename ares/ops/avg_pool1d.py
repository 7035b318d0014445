"""AvgPool1d with everything up to the next quantiser: one exact sum a window, one rounding.

eps: as all averages, in `ares.ops._averages`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.numerics import Rescale
from ares.ops._averages import Counted, WindowAverage, pooled
from ares.ops._window import Window


@dataclass(frozen=True, slots=True, eq=False)
class AvgPool1d(WindowAverage):
    """`out[c,i] = rescale(sum over j of (in[c, i*s+j-p] - z))`

    Input N C L, output N C O (batch 1). `padding` is in front and behind: real zeros. The divisor is the number of
    positions of a window, with those in the padding when `count_include_pad`, without what `ceil_mode` adds behind it;
    `rescales` holds one Rescale for each, from the smallest that occurs to the largest, or a single one for all.
    """

    OP_TYPE = "OP_AVGPOOL"
    LAYER_TYPE = "AvgPool1d"
    PYTHON_CLASS = "torch.nn.AvgPool1d"
    RANK = 3

    kernel: int
    stride: int
    padding: tuple[int, int]
    ceil_mode: bool
    count_include_pad: bool
    rescales: tuple[Rescale, ...]

    @property
    def constants(self) -> tuple[Rescale, ...]:
        return self.rescales

    def counted(self, shape: tuple[int, ...]) -> tuple[Counted, ...]:
        window = Window(self.kernel, self.stride, *self.padding, ceil_mode=self.ceil_mode)
        alike = len(self.rescales) == 1
        return pooled(self.name, shape, {2: window}, self.count_include_pad, alike)
