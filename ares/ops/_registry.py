"""The table of operations, from a sorted scan of this folder."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from ares.ir import Graph, load_graph
from ares.numerics import FloatStep, Rescale
from ares.ops._operation import KernelOperation


@cache
def operations() -> dict[str, type[KernelOperation]]:
    """Stem (`conv2d`) -> operation class, sorted by stem."""
    table: dict[str, type[KernelOperation]] = {}
    for module in sorted(pkgutil.iter_modules([str(Path(__file__).parent)]), key=lambda m: m.name):
        if module.name.startswith("_"):
            continue
        namespace = vars(importlib.import_module(f"{__package__}.{module.name}"))
        classes = [
            value
            for value in namespace.values()
            if isinstance(value, type)
            and issubclass(value, KernelOperation)
            and value.__module__ == f"{__package__}.{module.name}"
        ]
        if len(classes) != 1:
            raise TypeError(
                f"ares/ops/{module.name}.py defines {len(classes)} operations, expected one"
            )
        table[module.name] = classes[0]
    return table


def graph_classes() -> dict[str, type]:
    """Every class that a Graph file may name besides the Graph's own."""
    return {"Rescale": Rescale, "FloatStep": FloatStep} | {
        cls.__name__: cls for cls in operations().values()
    }


def read_graph(data: bytes) -> Graph:
    """A Graph from the bytes of a Graph file; raises GraphFileError."""
    return load_graph(data, graph_classes())
