"""The same Graph by another path through planner and kernels: other C, and the same integers.

`variants` gives projects to run beside the one that ships: every tensor that a run of one shows, and every output, must
be what the reference says, as for the one that ships. They show what the one plan that ships may hide: memory given
away too early, a layout or copy that is wrong, a result that may not take over its operand's memory, a frame folded
wrongly. Where a guard is asked for, sanitizers watch it.

`why_unstable` is about bytes: what is not meant to matter (the order in which the Graph lists its tensors, what layers
are called, whether the Graph was read from a file) makes the same C. Across processes: tests/fuzzer/test_variants.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ares.emit import emit
from ares.ir import Graph, Project, graph_digest, save_graph
from ares.ops import read_graph
from ares.plan import Choices, drawn_choices, plan

GUARDS = (0, 0, 16, 64)
KERNELS = ("gcc-portable", "nehalem-gcc-O2", "haswell-gcc-O2", "gcc-vnni")
"""Targets whose programs run another instruction set's kernels than the host's best: one for each that x86 has."""

Item = TypeVar("Item")
_NEW_NAME = re.compile(rb"([nN])([0-9]{6})([xX])")


@dataclass(frozen=True, slots=True)
class Variant:
    """`project` makes the integers of `graph`, by a plan of these choices and this guard."""

    graph: Graph
    choices: Choices
    guard: int
    project: Project

    def __str__(self) -> str:
        """What differs from the plan that ships: `seed 7: order, in_place=none, guard 64`."""
        return f"{self.choices}, guard {self.guard}" if self.guard else str(self.choices)

    def parts(self) -> Iterator[Variant]:
        """Each of its choices alone: the first of these that fails as well says which of them it is."""
        for choices in self.choices.alone():
            yield variant(self.graph, choices)
        if self.guard:
            yield variant(self.graph, Choices(), self.guard)


def variant(graph: Graph, choices: Choices, guard: int = 0) -> Variant:
    """The project of one set of choices."""
    return Variant(graph, choices, guard, emit(plan(graph, guard, choices)))


def variants(graph: Graph, seed: int, count: int = 1) -> Iterator[Variant]:
    """So many, from the seed alone: that of `seed`, that of `seed + 1` and so on. Raises PlanError as `plan` does."""
    for number in range(seed, seed + count):
        yield variant(graph, drawn_choices(number), GUARDS[number % len(GUARDS)])


def why_unstable(graph: Graph, seed: int) -> str | None:
    """The first thing that changes the C although it is not meant to: what, in which file and line."""
    shipped = _c_of(graph)
    others: Mapping[str, Callable[[], Graph]] = {
        "planned and written a second time": lambda: graph,
        "read back from its file": lambda: read_graph(save_graph(graph)),
        "with its tensors listed in another order": lambda: replace(
            graph, tensors=_shuffled(graph.tensors, seed)
        ),
    }
    for what, other in others.items():
        found = _first_difference(shipped, _c_of(other()))
        if found is not None:
            return f"{graph.name}, {what}, makes other C: {found}"
    ascending = [f"n{number:06d}x" for number in range(len(_names(graph)))]
    drawn = _shuffled(ascending, seed)
    back = dict(zip(drawn, ascending, strict=True))
    found = _first_difference(
        _c_of(renamed(graph, ascending)),
        {path: _with_names(text, back) for path, text in _c_of(renamed(graph, drawn)).items()},
    )
    if found is not None:
        return f"{graph.name}, with names in another alphabetical order, makes other C: {found}"
    return None


def renamed(graph: Graph, names: Sequence[str]) -> Graph:
    """The same network; inputs, layers and tensors get these names, in the order in which they come to be."""
    new = dict(zip(_names(graph), names, strict=True))

    def of(old: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new[name] for name in old)

    return replace(
        graph,
        tensors=tuple(replace(each, name=new[each.name]) for each in graph.tensors),
        operations=tuple(
            replace(each, name=new[each.name], inputs=of(each.inputs), outputs=of(each.outputs))
            for each in graph.operations
        ),
        inputs=of(graph.inputs),
        outputs=of(graph.outputs),
        composites=tuple(replace(each, members=of(each.members)) for each in graph.composites),
    ).validate()


def _names(graph: Graph) -> list[str]:
    made = [name for each in graph.operations for name in (each.name, *each.outputs)]
    return list(dict.fromkeys((*graph.inputs, *made)))


def _shuffled(items: Sequence[Item], seed: int) -> tuple[Item, ...]:
    return Choices(seed).shuffled("tables", 0, items)


def _c_of(graph: Graph) -> dict[str, bytes]:
    """The files that are the network's own, without the digest of its Graph."""
    project, digest = emit(plan(graph)), graph_digest(graph).encode()
    return {
        path: text.replace(digest, b"").replace(digest[:16], b"")
        for path, text in project.files.items()
        if not path.startswith("runtime/")
    }


def _with_names(text: bytes, new: Mapping[str, str]) -> bytes:
    """In small letters or capitals, as names of macros have them."""

    def put(found: re.Match[bytes]) -> bytes:
        old = found[0].decode()
        name = new[old.lower()]
        return (name.upper() if old[0] == "N" else name).encode()

    return _NEW_NAME.sub(put, text)


def _first_difference(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> str | None:
    if first.keys() != second.keys():
        return f"files {sorted(first.keys() ^ second.keys())} are in one of them only"
    for path, text in first.items():
        lines, others = text.splitlines(), second[path].splitlines()
        for number, (line, other) in enumerate(zip(lines, others, strict=False), start=1):
            if line != other:
                return (
                    f"{path}, line {number}: {line.decode()[:80]!r}, then {other.decode()[:80]!r}"
                )
        if len(lines) != len(others):
            return f"{path}: {len(lines)} lines, then {len(others)}"
    return None
