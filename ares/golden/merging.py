"""Many small Graphs side by side in one, and back again.

In the merged Graph everything is called `<key>::<name>`. Keys hold letters, digits, dots and single underscores, so
that a name can stand in a trace (no blanks) and keeps its key as a C identifier (`<key>__<name>`): no two keys give
the same identifier, nor the same macro.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from operator import add

from ares.ir import Graph, GraphError

SEPARATOR = "::"
# What the Graph of a single case is called: its own name is no part of its content.
SINGLE = "case"


def key_of(parts: Iterable[str]) -> str:
    """The parts joined by dots; what is neither letter nor digit becomes an underscore."""
    words = (re.sub(r"[^0-9A-Za-z]+", "_", part).strip("_") for part in parts)
    return ".".join(word for word in words if word)


def distinct(key: str, taken: set[str]) -> str:
    """`key`, or `key.2`, `key.3`...: the first whose C identifier is not in `taken`, to which it is added."""
    number, candidate = 1, key
    while _folded(candidate) in taken:
        number += 1
        candidate = f"{key}.{number}"
    taken.add(_folded(candidate))
    return candidate


def _folded(key: str) -> str:
    """As in a macro."""
    return key.replace(".", "_").upper()


def merge(name: str, parts: Mapping[str, Graph]) -> Graph:
    """All parts one after the other, with the inputs and outputs of all."""
    graphs = [renamed(graph, partial(add, f"{key}{SEPARATOR}")) for key, graph in parts.items()]
    return Graph(
        name,
        tuple(tensor for graph in graphs for tensor in graph.tensors),
        tuple(operation for graph in graphs for operation in graph.operations),
        tuple(tensor for graph in graphs for tensor in graph.inputs),
        tuple(tensor for graph in graphs for tensor in graph.outputs),
        tuple(composite for graph in graphs for composite in graph.composites),
    ).validate()


def split(graph: Graph) -> Mapping[str, Graph]:
    """Key -> its part: the inverse of `merge`. Raises GraphError where a name has no key."""

    def key(name: str) -> str:
        before, separator, _ = name.partition(SEPARATOR)
        if not separator:
            raise GraphError(f"{graph.name}: {name!r} belongs to no case")
        return before

    parts = {key(tensor.name): Graph(SINGLE, (), (), (), ()) for tensor in graph.tensors}
    for name, part in parts.items():
        parts[name] = renamed(
            replace(
                part,
                tensors=tuple(t for t in graph.tensors if key(t.name) == name),
                operations=tuple(o for o in graph.operations if key(o.name) == name),
                inputs=tuple(i for i in graph.inputs if key(i) == name),
                outputs=tuple(o for o in graph.outputs if key(o) == name),
                composites=tuple(c for c in graph.composites if key(c.name) == name),
            ),
            lambda own: own.partition(SEPARATOR)[2],
        )
    return parts


def renamed(graph: Graph, rename: Callable[[str], str]) -> Graph:
    """The same Graph with other names for its tensors, operations and composites."""

    def names(of: Iterable[str]) -> tuple[str, ...]:
        return tuple(rename(name) for name in of)

    return replace(
        graph,
        tensors=tuple(replace(tensor, name=rename(tensor.name)) for tensor in graph.tensors),
        operations=tuple(
            replace(
                operation,
                name=rename(operation.name),
                inputs=names(operation.inputs),
                outputs=names(operation.outputs),
            )
            for operation in graph.operations
        ),
        inputs=names(graph.inputs),
        outputs=names(graph.outputs),
        composites=tuple(
            replace(item, name=rename(item.name), members=names(item.members))
            for item in graph.composites
        ),
    )
