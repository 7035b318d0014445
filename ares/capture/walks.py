"""Every module of a model, in one list: what many questions are asked of is walked through once.

torch's own `named_modules` hands each module up through a generator for every level above it, which for the models of
Brevitas, a dozen modules to a quantiser, takes longer than what is done with them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import nn

Named = Sequence[tuple[str, nn.Module]]
"""Modules by their paths."""
Held = tuple[str, str, Any]
"""Path of a module, an attribute of it, the value."""

_SIMPLE = frozenset((bool, int, float, str, type(None)))
_CONTAINERS = frozenset((dict, list, tuple, set, OrderedDict))
# Hooks are anything that can be called.
_OF_TORCH = frozenset(name for name in vars(nn.Module()) if "_hooks" not in name)


def all_names(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """(path, module) in the order of `named_modules(remove_duplicate=False)`: a shared module under all its names."""
    found = [("", model)]
    _visit("", model, found)
    return found


def _visit(prefix: str, module: nn.Module, found: list[tuple[str, nn.Module]]) -> None:
    for name, child in module._modules.items():
        if child is not None:
            path = prefix + name
            found.append((path, child))
            if child._modules:
                _visit(f"{path}.", child, found)


def first_names(modules: Named) -> list[tuple[str, nn.Module]]:
    """Each module once, by the first of its names: `named_modules()` where `modules` are all names."""
    found: dict[int, tuple[str, nn.Module]] = {}
    keep = found.setdefault
    for pair in modules:
        keep(id(pair[1]), pair)
    return list(found.values())


def of_kind(modules: Named, kind: type) -> list[tuple[str, Any]]:
    """Those whose class is or derives from `kind`: each class is asked once, which of Brevitas' takes a while."""
    are: dict[type, bool] = {}
    found = []
    for path, module in modules:
        cls = type(module)
        if cls not in are:
            are[cls] = issubclass(cls, kind)
        if are[cls]:
            found.append((path, module))
    return found


def child(module: nn.Module, name: str) -> Any:
    """The part of a module that is registered by this name, else None: quicker than an attribute that is not there."""
    modules = module._modules  # of what is scripted no dict
    if name not in modules:
        return None
    return modules[name]


def held(modules: Named) -> list[Held]:
    """What modules have beside what every module has, numbers and texts, and containers with nothing in them."""
    return [
        (path, attribute, value)
        for path, module in modules
        for attribute, value in vars(module).items()
        if attribute not in _OF_TORCH
        and (kind := type(value)) not in _SIMPLE
        and (kind not in _CONTAINERS or value)
    ]
