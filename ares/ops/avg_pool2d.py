"""AvgPool2d with everything up to the next quantiser, where all windows have one divisor: one exact sum, one rounding.

eps: as all averages, in `ares.ops._averages`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._averages import SlidingAverage


@dataclass(frozen=True, slots=True, eq=False)
class AvgPool2d(SlidingAverage):
    """`out[c,y,x] = rescale(sum over i,j of (in[c, y*s+i-p, x*s+j-p] - z))`

    Input and output N C H W (batch 1). `padding` is (top, left, bottom, right): real zeros, which count
    (count_include_pad), so the divisor kh * kw is the same everywhere; it is part of `rescale`. Where the divisor
    differs from window to window it is `UnevenAvgPool2d`.
    """

    OP_TYPE = "OP_AVGPOOL"
    LAYER_TYPE = "AvgPool2d"
    PYTHON_CLASS = "torch.nn.AvgPool2d"
