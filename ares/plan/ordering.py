"""The layers of a Graph in another order of execution in which each still finds its operands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ares.ir import Composite, Graph, Operation
from ares.plan.choices import Choices

_Unit = tuple[Operation, ...]


def reordered(graph: Graph, choices: Choices) -> Graph:
    """The same network in a drawn order; a composite's layers stay together, in an order of their own.

    As it is where no other order is asked for.
    """
    if not choices.order:
        return graph
    inside = [
        tuple(layer for (layer,) in _ordered([(each,) for each in unit], choices, number + 1))
        for number, unit in enumerate(_units(graph))
    ]
    operations = tuple(layer for unit in _ordered(inside, choices, 0) for layer in unit)
    place = {operation.name: number for number, operation in enumerate(operations)}
    composites = tuple(
        replace(each, members=tuple(sorted(each.members, key=place.__getitem__)))
        for each in graph.composites
    )
    return replace(graph, operations=operations, composites=composites).validate()


def _units(graph: Graph) -> list[_Unit]:
    """What must stay together: a composite's layers, and every other layer alone."""
    composite_of: dict[str, Composite] = {
        name: each for each in graph.composites for name in each.members
    }
    units: list[_Unit] = []
    before: Composite | None = None
    for operation in graph.operations:
        composite = composite_of.get(operation.name)
        if composite is not None and composite is before:
            units[-1] = (*units[-1], operation)
        else:
            units.append((operation,))
        before = composite
    return units


def _ordered(units: Sequence[_Unit], choices: Choices, number: int) -> Iterator[_Unit]:
    """One that can run after the other; which of them is drawn."""
    maker = {name: at for at, unit in enumerate(units) for each in unit for name in each.outputs}
    needs = [
        {maker[name] for each in unit for name in each.inputs if name in maker} - {at}
        for at, unit in enumerate(units)
    ]
    waiting = list(range(len(units)))
    while waiting:
        ready = [at for at in waiting if not needs[at]]
        drawn = choices.pick("order", number * len(units) + len(waiting), len(ready))
        waiting.remove(ready[drawn])
        for others in needs:
            others.discard(ready[drawn])
        yield units[ready[drawn]]
