"""From a user's model to a C project in a folder: `ares export DIR`, and `ares.export`.

The self-test's golden cases are accepted by every stage before the C first. The folder is written whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

from ares.emit import Vector, emit
from ares.exporter.accepted import ExportError, accepted
from ares.files import write_folder
from ares.plan import CodePorts, PlanError, PortError, code_ports, plan
from ares.verifier.user_subject import UserSubject


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


def export(subject: UserSubject, folder: Path, *, codes: bool = False) -> Export:
    """Write the project of a model; raises ExportError where there is none, OSError where it cannot be written.

    `folder` must not exist or be empty, else FileExistsError. `codes`: inputs and outputs are codes, not real values.
    """
    vectors = accepted(subject)
    try:
        ports = code_ports(subject.graph) if codes else CodePorts(subject.graph, {})
        planned = plan(ports.graph)
    except (PlanError, PortError) as error:
        raise ExportError(str(error)) from error
    vectors = [_of_ports(vector, ports) for vector in vectors]
    project = emit(planned, vectors)
    write_folder(folder, project.files)
    return Export(
        network=subject.name,
        folder=folder,
        files=tuple(project.files),
        layers=len(ports.graph.operations),
        arena_bytes=planned.arena_bytes,
        arena_bound=planned.arena_bound,
        cases=tuple(vector.name for vector in vectors),
    )


def _of_ports(vector: Vector, ports: CodePorts) -> Vector:
    """A golden case whose inputs are what these ports take: the codes that it had behind the quantisers."""
    pairs = zip(ports.graph.inputs, vector.inputs, strict=True)
    inputs = tuple(
        vector.tensors[ports.origins[name]] if name in ports.origins else array
        for name, array in pairs
    )
    return replace(vector, inputs=inputs)
