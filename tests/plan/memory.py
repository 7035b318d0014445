"""Runs a Plan on a memory that only remembers whose bytes are whose.

It knows nothing of lifetimes or roots: it walks the steps in order and demands that every layer finds its operands as
they were made. Whatever the planner got wrong about overlaps shows as an operand with somebody else's bytes.
"""

from __future__ import annotations

import numpy as np

from ares.plan import Plan, Space
from ares.plan.arena import ALIGNMENT

NOBODY = -1


def check_memory(plan: Plan) -> None:
    """Raise AssertionError naming the first layer that would read or destroy the wrong bytes."""
    owner = np.full(plan.arena_bytes, NOBODY, np.int64)
    value: dict[str, int] = {}  # tensor -> the value that its bytes must hold
    for index, step in enumerate(plan.steps):
        where = f"{plan.graph.name}: {step.layer}"
        for name in step.inputs:
            _demand(plan, owner, value, name, where)
        if step.call is None:
            (result,) = step.outputs
            if not step.inputs:
                assert plan.tensor(result).space is Space.CONSTANT, where
                continue
            first = plan.tensor(step.inputs[0])
            made = plan.tensor(result)
            assert (made.space, made.position) == (first.space, first.position), where
            value[result] = value.get(step.inputs[0], NOBODY)
            continue
        taken = [
            _span(plan, name) for name in step.inputs if plan.tensor(name).space is Space.ARENA
        ]
        if step.call.scratch:
            scratch = (step.scratch, step.scratch + step.call.scratch)
            assert step.scratch % ALIGNMENT == 0, where
            assert scratch[1] <= plan.arena_bytes, where
            outputs = [_span(plan, name) for name in step.outputs]
            assert not any(_overlap(scratch, other) for other in (*taken, *outputs)), where
            owner[slice(*scratch)] = NOBODY
        allowed = {step.inputs[position] for position in step.call.in_place}
        for name in step.outputs:
            made = plan.tensor(name)
            assert made.space is Space.ARENA, (
                f"{where}: {name} would be written into an input of the network"
            )
            assert made.position % ALIGNMENT == 0, f"{where}: {name} is not aligned"
            inside = _span(plan, name)[1] <= plan.arena_bytes
            assert inside, f"{where}: {name} ends behind the arena"
            for other in step.inputs:
                if plan.tensor(other).space is Space.ARENA and _overlap(
                    _span(plan, name), _span(plan, other)
                ):
                    assert other in allowed, f"{where}: {name} overlaps its operand {other}"
                    whole = made.position == plan.tensor(other).position
                    assert whole, f"{where}: {name} would take over {other} in part"
            value[name] = index
            owner[slice(*_span(plan, name))] = index
    for name in plan.outputs:
        assert plan.tensor(name).space is Space.ARENA, (
            f"{plan.graph.name}: output {name} is not in the arena"
        )
        _demand(plan, owner, value, name, f"{plan.graph.name}: output")


def _demand(plan: Plan, owner: np.ndarray, value: dict[str, int], name: str, where: str) -> None:
    if plan.tensor(name).space is not Space.ARENA:
        return
    held = owner[slice(*_span(plan, name))]
    assert name in value, f"{where}: {name} is read before it is made"
    assert (held == value[name]).all(), f"{where}: {name} was overwritten before it is read"


def _span(plan: Plan, name: str) -> tuple[int, int]:
    tensor = plan.tensor(name)
    return tensor.position, tensor.position + tensor.elements * tensor.dtype.size


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[1] and other[0] < one[1]
