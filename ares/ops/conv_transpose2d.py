"""QuantConvTranspose2d with everything up to the next quantiser: one exact sum, one rounding.

eps: as `ares.ops.conv2d`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._transposed import QuantizedTransposedConvolution


@dataclass(frozen=True, slots=True, eq=False)
class ConvTranspose2d(QuantizedTransposedConvolution):
    """`out[o,y,x] = rescale(sum over c, i*s+k*d-p = y, j*s+l*d-p = x of (in[c,i,j] - z) * w[c,o,k,l])`

    Input and output N C H W (batch 1); weight s8 [in, out / groups, kh, kw]. p = padding; `output_padding` adds
    positions behind, which may have no products.
    """

    OP_TYPE = "OP_CONV_TRANSPOSE2D"
    LAYER_TYPE = "QuantConvTranspose2d"
    PYTHON_CLASS = "brevitas.nn.QuantConvTranspose2d"
