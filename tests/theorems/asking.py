"""Whether conditions can hold together: bitwuzla says it, and where they can z3 finds the numbers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bitwuzla
import z3


@dataclass(frozen=True, slots=True)
class Answer:
    """`verdict`: "proved" (they cannot), "refuted" (they can, with `model`) or "timeout"."""

    verdict: str
    model: Any = None


def holds(assumed: Sequence[Any], claim: Any, seconds: float) -> Answer:
    """Whether a claim follows from what is assumed."""
    solver = z3.Solver()
    solver.add(*assumed, z3.Not(claim))
    found = _bitwuzla(solver.to_smt2(), seconds)
    if found == "unsat":
        return Answer("proved")
    if found != "sat":
        return Answer("timeout")
    solver.set("timeout", int(1000 * seconds))
    if solver.check() != z3.sat:
        raise ValueError("bitwuzla found a counterexample, z3 finds none")
    return Answer("refuted", solver.model())


def _bitwuzla(text: str, seconds: float) -> str:
    """By processor time: others may be at work on this machine."""
    options = bitwuzla.Options()
    end = time.process_time() + seconds
    parser = bitwuzla.Parser(bitwuzla.TermManager(), options)
    parser.parse(text.replace("(check-sat)", ""), True, False)
    solver = parser.bitwuzla()
    solver.configure_terminator(lambda: time.process_time() > end)
    return str(solver.check_sat())


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a theorem: `verdict` as in `Answer`; `questions` were asked; `numbers`: a counterexample by name."""

    verdict: str
    questions: int
    numbers: Mapping[str, Any] = field(default_factory=dict)
