"""All ways through a function: each is run from the beginning with decisions of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import z3

from tests.theorems.bits import Products
from tests.theorems.ir_text import Module
from tests.theorems.machine import Machine


@dataclass(frozen=True, slots=True)
class Way:
    """One way through: what has to hold for it, what is known of products, and what the caller made of the end."""

    path: tuple[z3.BoolRef, ...]
    facts: tuple[z3.BoolRef, ...]
    result: Any


def ways(module: Module, run: Callable[[Machine], Any]) -> Iterator[Way]:
    """All ways through `run`, which sets up a machine, calls functions and returns what it wants to know.

    What cannot happen may be among them: their conditions contradict one another.
    """
    products = Products()
    waiting: list[tuple[bool, ...]] = [()]
    while waiting:
        decisions = waiting.pop()
        machine = Machine(module, decisions, products)
        result = run(machine)
        for k in range(len(decisions), len(machine.taken)):
            other = (*machine.taken[:k], False)
            if _possible([*machine.assumed, *machine.path[:k], z3.Not(machine.path[k])]):
                waiting.append(other)
        yield Way(tuple(machine.path), tuple(products.facts), result)


def _possible(conditions: Sequence[z3.BoolRef]) -> bool:
    solver = z3.Solver()
    solver.set("timeout", 500)
    solver.add(*conditions)
    return bool(solver.check() != z3.unsat)
