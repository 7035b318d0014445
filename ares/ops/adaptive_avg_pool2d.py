"""AdaptiveAvgPool2d with everything up to the next quantiser: one exact sum a window, one rounding.

Windows have one or two heights and widths, and each size its own divisor, hence its own constants.

eps: as all averages, in `ares.ops._averages`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.numerics import Rescale
from ares.ops._averages import Counted, WindowAverage, all_of
from ares.ops._operation import require
from ares.ops._spans import adaptive


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveAvgPool2d(WindowAverage):
    """`out[c,y,x] = rescale(sum over in[c, floor(y*H/P) .. ceil((y+1)*H/P)-1, floor(x*W/Q) .. ceil((x+1)*W/Q)-1] - z)`

    Input N C H W, output N C P Q (batch 1), any P and Q. `rescales` holds one Rescale for each size of a window, from
    the lowest that occurs to the highest, for each height from the narrowest to the widest; the divisor is part of it.
    """

    OP_TYPE = "OP_AVGPOOL"
    LAYER_TYPE = "AdaptiveAvgPool2d"
    PYTHON_CLASS = "torch.nn.AdaptiveAvgPool2d"

    output_size: tuple[int, int]
    rescales: tuple[Rescale, ...]

    @property
    def constants(self) -> tuple[Rescale, ...]:
        return self.rescales

    def counted(self, shape: tuple[int, ...]) -> tuple[Counted, ...]:
        require(
            min(self.output_size) >= 1,
            f"{self.name}: {self.output_size} outputs, expected 1 or more along each axis",
        )
        return tuple(
            all_of(adaptive(size, out))
            for size, out in zip(shape[2:], self.output_size, strict=True)
        )
