"""GELU, erf and tanh form: part of the operation before it, or a table on codes."""

from __future__ import annotations

from typing import Any

from torch import nn

from ares.extract._call import Call
from ares.extract._elementwise import apply_function
from ares.extract._findings import reject
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.numerics import FUNCTIONS, Function
from ares.ops.gelu import Gelu


@on_module(nn.GELU)
def gelu_module(call: Call) -> Value:
    return apply_function(call, _form(call.module.approximate), Gelu)


@on_function("gelu")
def gelu_function(call: Call) -> Value:
    return apply_function(call, _form(call.argument(1, "approximate", "none")), Gelu)


def _form(approximate: Any) -> Function:
    if approximate == "none":
        return FUNCTIONS["gelu"]
    if approximate == "tanh":
        return FUNCTIONS["gelu_tanh"]
    return reject(f"GELU with approximate={approximate!r}", "use 'none' or 'tanh'")
