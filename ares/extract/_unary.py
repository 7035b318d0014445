"""Detectors of unary functions, made of the rows of their table: part of what comes before, or one table on codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn

from ares.extract._call import Call
from ares.extract._elementwise import apply_function
from ares.extract._findings import reject
from ares.extract._functions import Unary, add_row
from ares.extract._registry import on_function, on_module
from ares.extract._values import Constant, Value
from ares.numerics import Function
from ares.ops import KernelOperation


def unary(
    operation: type[KernelOperation],
    function: Function | Callable[..., Function],
    modules: tuple[type[nn.Module], ...],
    functions: tuple[str, ...],
    *parameters: tuple[str, Any],
) -> None:
    """A row of the table: a function, or what makes it of its parameters (name, default)."""
    make = (lambda: function) if isinstance(function, Function) else function
    row = Unary(operation, make, parameters)
    add_row(modules, row)

    @on_module(*modules)
    @on_function(*functions)
    def detector(call: Call) -> Value:
        values = [
            call.setting(name, place, value)
            for place, (name, value) in enumerate(parameters, start=1)
        ]
        return apply_function(call, row.make(*values), operation)


def number(value: object, what: str) -> float:
    """A parameter as a number, a constant of one element too; refuses other tensors and what is not finite."""
    if isinstance(value, Constant) and value.array is not None and value.array.size == 1:
        value = float(value.array.reshape(-1)[0])
    if isinstance(value, Value):
        reject(f"{what} a tensor", "give a finite Python number")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        reject(f"{what} {value!r}", "give a finite Python number")
    return float(value)
