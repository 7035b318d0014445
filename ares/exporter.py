"""From a user's model to a C project in a folder: `ares export`, and `ares.export`.

The self-test's golden cases are accepted by every stage before the C first. The folder is written whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from ares.emit import Vector, emit
from ares.files import write_folder
from ares.plan import PlanError, plan
from ares.verdict import Outcome
from ares.verifier.user_subject import UserSubject


class ExportError(Exception):
    """There is no C of this model: it cannot be mapped, or does not accept its golden cases; one line."""


@dataclass(frozen=True, slots=True)
class Export:
    """A project that was written.

    `files`: paths within `folder`. `arena_bytes`: working memory of one inference, `arena_bound` the least that any
    plan of it could do with. `cases`: those of the self-test.
    """

    network: str
    folder: Path
    files: tuple[str, ...] = field(repr=False)
    layers: int
    arena_bytes: int
    arena_bound: int
    cases: tuple[str, ...]

    def __str__(self) -> str:
        """What was written, and the command that builds and compares it."""
        return (
            f"{self.folder}: {self.network}, {self.layers} layers, {len(self.files)} files, "
            f"arena {self.arena_bytes} bytes (at least {self.arena_bound}), "
            f"self-test of {len(self.cases)} cases\n"
            f"build it and compare every layer with: make -C {quote(str(self.folder))} check"
        )

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(str(self))


def export(subject: UserSubject, folder: Path) -> Export:
    """Write the project of a model; raises ExportError where there is none, OSError where it cannot be written.

    `folder` must not exist or be empty, else FileExistsError.
    """
    vectors = _accepted(subject)
    try:
        planned = plan(subject.graph)
    except PlanError as error:
        raise ExportError(str(error)) from error
    project = emit(planned, vectors)
    write_folder(folder, project.files)
    return Export(
        network=subject.name,
        folder=folder,
        files=tuple(project.files),
        layers=len(subject.graph.operations),
        arena_bytes=planned.arena_bytes,
        arena_bound=planned.arena_bound,
        cases=tuple(vector.name for vector in vectors),
    )


def _accepted(subject: UserSubject) -> list[Vector]:
    """The golden cases, once every stage before the C has passed."""
    for stage in subject.stages():
        verdict = subject.stage(stage)
        if verdict.outcome is not Outcome.PASS:
            first = f"{verdict.message.splitlines()[0]} (ares verify says more)"
            raise ExportError(subject.refusal(verdict) or first)
    return [
        Vector(
            case.name,
            case.inputs,
            subject.expected(number),
            tuple(subject.expected(number)[name] for name in subject.graph.outputs),
        )
        for number, case in enumerate(subject.golden.cases)
    ]
