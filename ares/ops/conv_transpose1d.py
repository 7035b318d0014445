"""QuantConvTranspose1d with everything up to the next quantiser: one exact sum, one rounding.

eps: as `ares.ops.conv2d`; its kernel is that of two axes, on an image of one row.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._transposed import QuantizedTransposedConvolution


@dataclass(frozen=True, slots=True, eq=False)
class ConvTranspose1d(QuantizedTransposedConvolution):
    """`out[o,t] = rescale(sum over c,i,j with i*s + j*d - p = t of (in[c,i] - z) * w[c,o,j])`

    Input and output [1, C, T]; weight s8 [in, out / groups, kernel]. p = padding; `output_padding` adds
    positions behind, which may have no products.
    """

    OP_TYPE = "OP_CONV_TRANSPOSE1D"
    LAYER_TYPE = "QuantConvTranspose1d"
    PYTHON_CLASS = "brevitas.nn.QuantConvTranspose1d"
