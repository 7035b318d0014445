"""QuantIdentity on codes: from one scale and zero point to another, through a table.

eps: see `ares.ops._lookup`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._lookup import LookupOperation


@dataclass(frozen=True, slots=True, eq=False)
class Requantize(LookupOperation):
    """`out = clamp(round((in - z_in) * scale_in / scale_out + z_out))`, as a table of all 256 codes

    Any shape; rounding half to even from exact rationals.
    """

    OP_TYPE = "OP_REQUANTIZE"
    LAYER_TYPE = "QuantIdentity"
    PYTHON_CLASS = "brevitas.nn.QuantIdentity"
