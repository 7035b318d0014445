"""The table of unary functions: which modules and functions of PyTorch are which function, with which parameters.

A row is made with `unary`, in the file of the operation that the function becomes on codes. It serves the module, the
functional form, and the module inside a Brevitas activation layer alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from ares.numerics import Function
from ares.ops import KernelOperation


@dataclass(frozen=True, slots=True)
class Unary:
    """One row: `make` gets the values of `parameters` (name, default of the functional form), in order.

    A parameter is an attribute of the module and an argument of the function, in this order behind the tensor.
    """

    operation: type[KernelOperation]
    make: Callable[..., Function]
    parameters: tuple[tuple[str, Any], ...]

    def of_module(self, module: nn.Module) -> Function:
        """The function that a module applies."""
        return self.make(*(getattr(module, name) for name, _ in self.parameters))


_OF_MODULES: dict[type[nn.Module], Unary] = {}


def add_row(modules: tuple[type[nn.Module], ...], row: Unary) -> None:
    """Know these classes, and what derives from them, by that row."""
    _OF_MODULES.update(dict.fromkeys(modules, row))


def function_of(module: nn.Module) -> Function | None:
    """What an activation module applies, None for one that is in no row."""
    for cls in type(module).__mro__:
        if cls in _OF_MODULES:
            return _OF_MODULES[cls].of_module(module)
    return None
