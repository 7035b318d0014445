"""GELU on codes and the quantiser after it, through a table.

Without a quantiser before it, a GELU is part of the convolution or linear layer (N5).

eps: see `ares.ops._lookup`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._lookup import LookupOperation


@dataclass(frozen=True, slots=True, eq=False)
class Gelu(LookupOperation):
    """`out = clamp(round(gelu((in - z_in) * scale_in) / scale_out + z_out))`, as a table of all 256 codes

    Any shape; gelu exact (erf) or in its tanh form, evaluated in float64 at extraction.
    """

    OP_TYPE = "OP_GELU"
    LAYER_TYPE = "GELU"
    PYTHON_CLASS = "torch.nn.GELU"
