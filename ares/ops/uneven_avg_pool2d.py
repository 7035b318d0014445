"""AvgPool2d whose windows have divisors of their own, with everything up to the next quantiser: one rounding each.

eps: as all averages, in `ares.ops._averages`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.numerics import Rescale
from ares.ops._averages import Counted, WindowAverage, pooled
from ares.ops._window import image_windows


@dataclass(frozen=True, slots=True, eq=False)
class UnevenAvgPool2d(WindowAverage):
    """`out[c,y,x] = rescale_yx(sum over i,j of (in[c, y*s+i-p, x*s+j-p] - z))`, with ceil_mode or uncounted padding

    Input and output N C H W (batch 1). `padding` is (top, left, bottom, right): real zeros. The divisor is the number
    of positions of a window, with those in the padding when `count_include_pad`, without what `ceil_mode` adds behind
    it. `rescales` holds one Rescale for each size, from the lowest that occurs to the highest, for each height from the
    narrowest to the widest; or a single one for all.
    """

    OP_TYPE = "OP_AVGPOOL"
    LAYER_TYPE = "AvgPool2d"
    PYTHON_CLASS = "torch.nn.AvgPool2d"

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    ceil_mode: bool
    count_include_pad: bool
    rescales: tuple[Rescale, ...]

    @property
    def constants(self) -> tuple[Rescale, ...]:
        return self.rescales

    def counted(self, shape: tuple[int, ...]) -> tuple[Counted, ...]:
        windows = image_windows(self.kernel, self.stride, self.padding, ceil_mode=self.ceil_mode)
        alike = len(self.rescales) == 1
        return pooled(self.name, shape, windows, self.count_include_pad, alike)
