"""Runs a Plan on a memory that only remembers whose bytes are whose.

It knows nothing of lifetimes or roots: it walks the steps in order and demands that every layer finds its operands as
they were made. Whatever the planner got wrong about overlaps shows as an operand with somebody else's bytes. The
arena and the caller's buffer of each output are memories of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ares.plan import Plan, PlannedTensor, Space, Step
from ares.plan.arena import ALIGNMENT

NOBODY = -1


def check_memory(plan: Plan) -> None:
    """Raise AssertionError naming the first layer that would read or destroy the wrong bytes."""
    walk = _Walk(plan)
    for index, step in enumerate(plan.steps):
        where = f"{plan.graph.name}: {step.layer}"
        for name in step.inputs:
            walk.demand(name, where)
        if step.folded_into:
            assert (step.call, step.inputs, step.outputs, step.observed) == (None, (), (), False), (
                where
            )
        elif step.call is None:
            walk.rename(step, where)
        else:
            walk.call(index, step, where)
    for name in plan.outputs:
        walk.demand(name, f"{plan.graph.name}: output")


@dataclass(frozen=True, slots=True)
class _Place:
    """Bytes `start` .. `end` - 1 of one of the memories: 0 is the arena, k + 1 the buffer of output k."""

    memory: int
    start: int
    end: int

    def overlaps(self, other: _Place) -> bool:
        return self.memory == other.memory and self.start < other.end and other.start < self.end


class _Walk:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        outputs = [plan.graph.tensor(name) for name in plan.graph.outputs]
        sizes = [plan.arena_bytes, *(tensor.nbytes for tensor in outputs)]
        self.owner = [np.full(size, NOBODY, np.int64) for size in sizes]
        self.alignment = [ALIGNMENT, *(tensor.dtype.size for tensor in outputs)]
        self.value: dict[str, int] = {}  # tensor -> the value that its bytes must hold

    def demand(self, name: str, where: str) -> None:
        place = _place(self.plan.tensor(name))
        if place is None:
            return
        held = self.owner[place.memory][place.start : place.end]
        assert name in self.value, f"{where}: {name} is read before it is made"
        assert (held == self.value[name]).all(), (
            f"{where}: {name} was overwritten before it is read"
        )

    def rename(self, step: Step, where: str) -> None:
        """Nothing runs: a constant, or another name of the same bytes."""
        (result,) = step.outputs
        made = self.plan.tensor(result)
        if not step.inputs:
            assert made.space is Space.CONSTANT, where
            return
        first = self.plan.tensor(step.inputs[0])
        assert (made.space, made.position) == (first.space, first.position), where
        self.value[result] = self.value.get(step.inputs[0], NOBODY)

    def call(self, index: int, step: Step, where: str) -> None:
        assert step.call is not None
        operands = {name: _place(self.plan.tensor(name)) for name in step.inputs}
        results = {name: self.result(name, where) for name in step.outputs}
        if step.call.scratch:
            scratch = _Place(0, step.scratch, step.scratch + step.call.scratch)
            assert step.scratch % ALIGNMENT == 0, where
            assert scratch.end <= self.plan.arena_bytes, where
            taken = [place for place in (*operands.values(), *results.values()) if place]
            assert not any(map(scratch.overlaps, taken)), where
            self.owner[0][scratch.start : scratch.end] = NOBODY
        allowed = {step.inputs[position] for position in step.call.in_place}
        for name, place in results.items():
            for other, read in operands.items():
                if read is not None and place.overlaps(read):
                    assert other in allowed, f"{where}: {name} overlaps its operand {other}"
                    whole = place.start == read.start
                    assert whole, f"{where}: {name} would take over {other} in part"
            self.value[name] = index
            self.owner[place.memory][place.start : place.end] = index

    def result(self, name: str, where: str) -> _Place:
        """Where a layer may write its result."""
        made = self.plan.tensor(name)
        place = _place(made)
        assert place is not None, f"{where}: {name} would be written into what must not change"
        alignment = self.alignment[place.memory]
        assert place.start % alignment == 0, f"{where}: {name} is not aligned"
        assert alignment >= made.dtype.size, (
            f"{where}: {name} is not aligned in the caller's buffer"
        )
        inside = place.end <= len(self.owner[place.memory])
        assert inside, f"{where}: {name} ends behind {'a buffer' if place.memory else 'the arena'}"
        return place


def _place(tensor: PlannedTensor) -> _Place | None:
    """None for inputs and constants, which nobody writes."""
    nbytes = tensor.elements * tensor.dtype.size
    if tensor.space is Space.OUTPUT:
        return _Place(tensor.position + 1, 0, nbytes)
    if tensor.space is Space.ARENA:
        return _Place(0, tensor.position, tensor.position + nbytes)
    return None
