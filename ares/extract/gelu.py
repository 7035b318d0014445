"""GELU, erf and tanh form: part of the operation before it, or a table on codes."""

from __future__ import annotations

from typing import Any

from torch import nn

from ares.extract._findings import reject
from ares.extract._unary import unary
from ares.numerics import FUNCTIONS, Function
from ares.ops.gelu import Gelu


def _form(approximate: Any) -> Function:
    if approximate == "none":
        return FUNCTIONS["gelu"]
    if approximate == "tanh":
        return FUNCTIONS["gelu_tanh"]
    return reject(f"GELU with approximate={approximate!r}", "use 'none' or 'tanh'")


unary(Gelu, _form, (nn.GELU,), ("gelu",), ("approximate", "none"))
