"""AdaptiveAvgPool1d with everything up to the next quantiser: one exact sum a window, one rounding.

Windows have one or two lengths, and each length its own divisor, hence its own constants.

eps: as all averages, in `ares.ops._averages`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.numerics import Rescale
from ares.ops._averages import Counted, WindowAverage, all_of
from ares.ops._operation import require
from ares.ops._spans import adaptive


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveAvgPool1d(WindowAverage):
    """`out[c,i] = rescale(sum over k from floor(i*L/O) to ceil((i+1)*L/O) - 1 of (in[c,k] - z))`

    Input N C L, output N C O (batch 1), any O. `rescales` holds one Rescale for each length of a window, from the
    shortest that occurs to the longest; the divisor is part of it.
    """

    OP_TYPE = "OP_AVGPOOL"
    LAYER_TYPE = "AdaptiveAvgPool1d"
    PYTHON_CLASS = "torch.nn.AdaptiveAvgPool1d"
    RANK = 3

    out_length: int
    rescales: tuple[Rescale, ...]

    @property
    def constants(self) -> tuple[Rescale, ...]:
        return self.rescales

    def counted(self, shape: tuple[int, ...]) -> tuple[Counted, ...]:
        require(self.out_length >= 1, f"{self.name}: {self.out_length} outputs, expected 1 or more")
        return (all_of(adaptive(shape[2], self.out_length)),)
