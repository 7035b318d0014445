"""SiLU on codes and the quantiser after it, through a table.

Without a quantiser before it, a SiLU is part of the convolution or linear layer (N5).

eps: see `ares.ops._lookup`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._lookup import LookupOperation


@dataclass(frozen=True, slots=True, eq=False)
class Silu(LookupOperation):
    """`out = clamp(round(silu((in - z_in) * scale_in) / scale_out + z_out))`, as a table of all 256 codes

    Any shape; silu(x) = x / (1 + e^-x), evaluated in float64 at extraction.
    """

    OP_TYPE = "OP_SILU"
    LAYER_TYPE = "SiLU"
    PYTHON_CLASS = "ares.nn.QuantSiLU"
