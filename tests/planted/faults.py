"""What a planted fault is, as data: where the wrong thing stands, and what the report must then say.

Decided by whoever writes the row, before it runs: the layer that must be named, and the stage that sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """In `file` of the generated project `wrong` stands in place of `right`, which is there so many `times`."""

    file: str
    right: str
    wrong: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """A value of a record is another one.

    `at`: a layer, "tensor NAME", or "" for the record itself. `path`: fields and indices with dots between.
    `how`: a name of `edits.HOWS`, with its `values`.
    """

    at: str
    path: str
    how: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class InC:
    """Somebody wrote the C so: the runtime, or a template of the generated files."""

    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class InGraph:
    """The extraction made this Graph: reference, golden and C follow it, and only the model knows better."""

    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class InLowering:
    """The kernel call of `layer` was made as if the Graph were this one."""

    layer: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class InPlan:
    """The planner or the emitter made this of the right Graph: the C's tables."""

    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Twin:
    """Python and C are wrong in the same way, and agree.

    `python`: what is replaced, and by which name of `wrong_python`; `extracts`: the Graph is made anew with it.
    """

    python: tuple[tuple[str, str], ...]
    c: tuple[Change, ...] = ()
    extracts: bool = False
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class InHarness:
    """The harness, or what it keeps, is at fault: `plant` is a function of `harness`, with its values."""

    plant: str
    values: tuple[Any, ...] = ()


Plant = InC | InGraph | InLowering | InPlan | Twin | InHarness


@dataclass(frozen=True, slots=True)
class Fault:
    """`what`, in one line, is planted in `subject` (a file of `subjects/`).

    `layer`: what the report must name, "" where there is none (a program that never came to a layer). `stage`: "c" is
    that of the target. `fault`: the kind that the verdict has.
    """

    id: str
    what: str
    subject: str
    layer: str
    plant: Plant
    stage: str = ""
    fault: str = "difference"

    @property
    def family(self) -> str:
        return self.id.partition("/")[0]

    @property
    def seen_by(self) -> str:
        """The stage that must see it."""
        if self.stage:
            return self.stage
        return "torch" if isinstance(self.plant, (InGraph, Twin)) else "c"

    @property
    def changes(self) -> tuple[Change, ...]:
        """The places in files that it needs."""
        if isinstance(self.plant, InC):
            return self.plant.changes
        return self.plant.c if isinstance(self.plant, Twin) else ()


SOURCES = "runtime/src/"
HEADERS = "runtime/inc/"


def in_c(
    name: str,
    what: str,
    place: str,
    file: str,
    right: str,
    wrong: str,
    *,
    times: int = 1,
    **more: Any,
) -> Fault:
    """A row for one change of a file of the runtime; `place`: "subject layer"."""
    subject, _, layer = place.partition(" ")
    folder = "" if "/" in file else HEADERS if file.endswith(".h") else SOURCES
    return Fault(
        name, what, subject, layer, InC((Change(folder + file, right, wrong, times),)), **more
    )


def in_c_twice(
    name: str, what: str, place: str, file: str, *pairs: tuple[str, str], **more: Any
) -> Fault:
    """The same for several changes of one file."""
    subject, _, layer = place.partition(" ")
    folder = "" if "/" in file else HEADERS if file.endswith(".h") else SOURCES
    changes = tuple(Change(folder + file, right, wrong) for right, wrong in pairs)
    return Fault(name, what, subject, layer, InC(changes), **more)


def in_graph(name: str, what: str, place: str, *edits: tuple[Any, ...], **more: Any) -> Fault:
    """A row for a wrong Graph; an edit is (path, how, values...) of the layer, or begins with "@" and another place."""
    subject, _, layer = place.partition(" ")
    return Fault(name, what, subject, layer, InGraph(_edits(layer, edits)), **more)


def in_lowering(name: str, what: str, place: str, *edits: tuple[Any, ...], **more: Any) -> Fault:
    """A row for a kernel call that was made of another Graph."""
    subject, _, layer = place.partition(" ")
    return Fault(name, what, subject, layer, InLowering(layer, _edits(layer, edits)), **more)


def in_plan(name: str, what: str, place: str, *edits: tuple[Any, ...], **more: Any) -> Fault:
    """A row for wrong tables."""
    subject, _, layer = place.partition(" ")
    return Fault(name, what, subject, layer, InPlan(_edits(layer, edits)), **more)


def _edits(layer: str, rows: tuple[tuple[Any, ...], ...]) -> tuple[Edit, ...]:
    made = []
    for row in rows:
        at, rest = (row[0][1:], row[1:]) if row[0].startswith("@") else (layer, row)
        made.append(Edit(at, rest[0], rest[1], tuple(rest[2:])))
    return tuple(made)
