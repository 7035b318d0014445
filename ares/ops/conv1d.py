"""QuantConv1d with everything up to the next quantiser: one exact sum, one rounding.

eps: as `ares.ops.conv2d`, whose kernel it is, on an image of one row.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._convolution import QuantizedConvolution


@dataclass(frozen=True, slots=True, eq=False)
class Conv1d(QuantizedConvolution):
    """`out[o,t] = rescale(sum over c,j of (in[c, t*s+j*d-p] - z) * w[o,c,j])`

    Input and output [1, C, T]; weight s8 [out, in / groups, kernel]; padding is the real value zero. `padding` is
    (before, after); (kernel - 1) * dilation before and nothing after is a causal convolution.
    """

    OP_TYPE = "OP_CONV1D"
    LAYER_TYPE = "QuantConv1d"
    PYTHON_CLASS = "brevitas.nn.QuantConv1d"
