"""Brevitas' TruncAvgPool2d and TruncAdaptiveAvgPool2d: one exact sum, then bits are cut off it (N18).

eps: the codes are the model's own integers, so only the noise of the witness' float64 counts: as a table's, 2^-40.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._averages import SlidingAverage


@dataclass(frozen=True, slots=True, eq=False)
class TruncAvgPool2d(SlidingAverage):
    """`out[c,y,x] = clamp(whole((z + sum over i,j of (in[c, y*s+i-p, x*s+j-p] - z)) / 2^t))`

    Input and output N C H W (batch 1), shapes and `padding` as of `AvgPool2d`. `rescale` cuts t bits off the sum in the
    way that the quantiser's `float_to_int_impl` says, and nothing is divided: the output's scale is the input's times
    2^t, over the number of positions in a window.
    """

    OP_TYPE = "OP_AVGPOOL"
    LAYER_TYPE = "TruncAvgPool2d"
    PYTHON_CLASS = "brevitas.nn.TruncAvgPool2d"
    EPS = 2.0**-40
