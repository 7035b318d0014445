"""QuantReLU on codes: max(x, 0) and the quantiser after it, through a table.

Its output is unsigned by default (Brevitas), signed when the user says so.

eps: see `ares.ops._lookup`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._lookup import LookupOperation


@dataclass(frozen=True, slots=True, eq=False)
class Relu(LookupOperation):
    """`out = clamp(round(max(in - z_in, 0) * scale_in / scale_out + z_out))`, as a table of all 256 codes

    Any shape; rounding half to even from exact rationals.
    """

    OP_TYPE = "OP_RELU"
    LAYER_TYPE = "QuantReLU"
    PYTHON_CLASS = "brevitas.nn.QuantReLU"
