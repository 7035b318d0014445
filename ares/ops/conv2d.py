"""QuantConv2d with everything up to the next quantiser: one exact sum, one rounding.

eps: the multiplier is exact to one part in 2**31 (N3) and the offset to 2**-(s + 1), so a code inside the range is
off by at most (256 + 2 * |bias / scale + z|) / (2**31 - 2) + 2**-(s + 1), under 2**-20 for |bias| below 500 codes.
A function of the accumulator (GELU) adds 1.5 * |f'| * unit / scale for the grid (`ares.numerics.tables`), under
2**-20 for scales above 0.0033; the witness judges every code all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._convolution import QuantizedConvolution


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d(QuantizedConvolution):
    """`out[o,y,x] = rescale(sum over c,i,j of (in[c, y*s+i*d-p, x*s+j*d-p] - z) * w[o,c,i,j])`

    Input and output N C H W (batch 1); weight s8 [out, in / groups, kh, kw]; padding is the real value zero.
    `padding` is (top, left, bottom, right).
    """

    OP_TYPE = "OP_CONV2D"
    LAYER_TYPE = "QuantConv2d"
    PYTHON_CLASS = "brevitas.nn.QuantConv2d"
