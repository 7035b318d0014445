"""SiLU: part of the operation before it, or a table on codes."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._elementwise import apply_function
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.numerics import FUNCTIONS
from ares.ops.silu import Silu


@on_module(nn.SiLU)
@on_function("silu")
def silu(call: Call) -> Value:
    return apply_function(call, FUNCTIONS["silu"], Silu)
