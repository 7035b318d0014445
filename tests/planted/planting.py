"""Plants one fault in a right subject, and has the product's own stages judge it; beside them three other methods.

The verdict is the first that is red, in the order in which `ares networks` shows them. A fault in the C leaves what
comes before it as it was, and that was right (`preparing`); a fault on Python's side is judged by all stages from the
Graph on, beside a golden that was made with it: there was no right one before.
"""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from ares.emit import emit
from ares.golden import Golden, golden_case
from ares.ir import Graph, Project, Trace, graph_digest
from ares.ops import run_reference
from ares.pipeline.compiled import RunSettings
from ares.pipeline.network import NetworkSubject
from ares.plan import Plan, plan
from ares.toolchain import RunFailure, run
from ares.verdict import EXTRACT, REFERENCE, TORCH, Outcome, Verdict
from tests.planted import wrong_python
from tests.planted.edits import edited
from tests.planted.faults import Change, Fault, InC, InGraph, InHarness, InLowering, InPlan, Twin
from tests.planted.preparing import Prepared

Array = npt.NDArray[Any]
TIMEOUT = 20.0
TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Rivals:
    """Who else would have caught it. `outputs_near`: the C's outputs, dequantised, and the Brevitas model's in float32
    differ by more than TOLERANCE of the range of the model's output in that case. `outputs_exact`: the C's outputs and
    the right ones differ at all. `twin`: the C and its own Python differ in any layer.
    """

    outputs_near: bool
    outputs_exact: bool
    twin: bool


NOBODY = Rivals(outputs_near=False, outputs_exact=False, twin=False)


def judge(fault: Fault, right: Prepared) -> Verdict:
    """The first verdict that is red, or the last one where none is."""
    if isinstance(fault.plant, InHarness):
        from tests.planted import harness

        with tempfile.TemporaryDirectory() as folder:
            plant = getattr(harness, fault.plant.plant)
            verdict: Verdict = plant(right, Path(folder), *fault.plant.values)
            return verdict
    with planted(fault, right) as session:
        return first_red(session, right, in_python=isinstance(fault.plant, (InGraph, Twin)))


def names_layer(verdict: Verdict, layer: str) -> bool:
    """Whether a report names the layer: of a program that ended badly, in front of which of its lines it did."""
    if verdict.layer or not layer:
        return verdict.layer == layer
    return re.search(rf"before 'layer \d+ {re.escape(layer)} ", verdict.message) is not None


def stage_of(verdict: Verdict) -> str:
    """A verdict's stage as the rows have it."""
    return "c" if verdict.stage.startswith("c[") else verdict.stage


def is_right(fault: Fault, verdict: Verdict) -> bool:
    """Whether the report says what the row demands."""
    return (
        verdict.outcome is Outcome.FAIL
        and stage_of(verdict) == fault.seen_by
        and verdict.fault == fault.fault
        and names_layer(verdict, fault.layer)
    )


def first_red(session: NetworkSubject, right: Prepared, *, in_python: bool) -> Verdict:
    """The first verdict that is red, or the C's."""
    for stage in (EXTRACT, REFERENCE, TORCH) if in_python else ():
        verdict = session.stage(stage)
        if verdict.outcome is not Outcome.PASS:
            return verdict
    with patch("ares.pipeline.compiled.build", right.workbench.build):
        return session.target(right.target, settings=RunSettings(timeout=TIMEOUT))


def compare(fault: Fault, right: Prepared) -> tuple[Verdict, Rivals]:
    """As `judge`, and what the other methods say of the same fault, over the same cases."""
    with planted(fault, right) as session:
        in_python = isinstance(fault.plant, (InGraph, Twin))
        return first_red(session, right, in_python=in_python), _objections(session, right)


def rivals_of_right(right: Prepared) -> Rivals:
    """What the other methods say where nothing is planted: a method that objects here cannot be compared."""
    return _objections(right.session, right)


def _objections(session: NetworkSubject, right: Prepared) -> Rivals:
    try:
        traces = _traces(session, right)
    except RunFailure:
        return Rivals(True, True, True)  # it crashes: nobody misses that
    return Rivals(
        outputs_near=_leaves_tolerance(session, right, traces),
        outputs_exact=not _same_outputs(right, traces),
        twin=_differs_from_python(session, traces),
    )


@contextmanager
def planted(fault: Fault, right: Prepared) -> Iterator[NetworkSubject]:
    """The subject with the fault in it; what is replaced in Python is so until the end."""
    plant = fault.plant
    assert not isinstance(plant, InHarness), "harness.py plants these"
    with ExitStack() as stack:
        if isinstance(plant, Twin):
            for target, name in plant.python:
                stack.enter_context(patch(target, getattr(wrong_python, name)))
            graph = right.session.graph
            if plant.extracts:
                graph = _extracted(right.session)
            yield _following(right.session, edited(graph, plant.edits), plant.c)
        elif isinstance(plant, InGraph):
            graph = edited(right.session.graph, plant.edits)
            assert graph_digest(graph) != graph_digest(right.session.graph), (
                f"{fault.id} changes nothing"
            )
            yield _following(right.session, graph, ())
        else:
            project = _project(plant, right)
            assert project.digest != right.session.project.digest, f"{fault.id} changes nothing"
            yield with_project(right.session, project)


def _project(plant: InC | InLowering | InPlan, right: Prepared) -> Project:
    if isinstance(plant, InC):
        return changed(right.session.project, plant.changes)
    if isinstance(plant, InPlan):
        return emit(edited(right.plan, plant.edits))
    wrong = plan(edited(right.session.graph, plant.edits))
    (step,) = [step for step in wrong.steps if step.layer == plant.layer]
    return emit(_with_step(right.plan, plant.layer, step.call))


def _with_step(right: Plan, layer: str, call: Any) -> Plan:
    steps = [replace(step, call=call) if step.layer == layer else step for step in right.steps]
    return replace(right, steps=tuple(steps))


def changed(project: Project, changes: tuple[Change, ...]) -> Project:
    """The project with these changes of files, whose places must be there."""
    files = dict(project.files)
    for change in changes:
        files[change.file] = replaced(files[change.file], change)
    return replace(project, files=files)


def replaced(content: bytes, change: Change) -> bytes:
    """The content with a change; raises where its place is gone, or there more often."""
    text = content.decode()
    count = text.count(change.right)
    if count != change.times:
        raise LookupError(f"{change.file} holds {change.right!r} {count} times, not {change.times}")
    return text.replace(change.right, change.wrong).encode()


def with_project(session: NetworkSubject, project: Project) -> NetworkSubject:
    """The same session, but this project is what is compiled. What torch says of the golden is asked once."""
    other = copy.copy(session)
    other.__dict__["project"] = other.__dict__["guarded_project"] = project
    other.__dict__["_judge"] = lambda cases: _judged(session, tuple(cases))
    return other


@lru_cache(maxsize=32)
def _judged(session: NetworkSubject, cases: tuple[int, ...]) -> Any:
    return session._judge(cases)


def _following(
    session: NetworkSubject, graph: Graph, changes: tuple[Change, ...]
) -> NetworkSubject:
    """A session in which golden, reference and C follow this Graph (and the Python that is replaced now)."""
    other = copy.copy(session)
    for computed in ("references", "project", "guarded_project", "shows", "judgements", "float32"):
        other.__dict__.pop(computed, None)
    other.__dict__.pop("_witness", None)
    graph = graph.validate()
    cases = [
        golden_case(graph, case.name, case.inputs, run_reference(graph, case.inputs))
        for case in session.golden.cases
    ]
    other.__dict__["graph"] = graph
    other.__dict__["golden"] = Golden(session.name, session.golden.provenance, tuple(cases))
    project = changed(emit(plan(graph)), changes)
    other.__dict__["project"] = other.__dict__["guarded_project"] = project
    return other


def _extracted(session: NetworkSubject) -> Graph:
    """The Graph as it is extracted now."""
    other = copy.copy(session)
    for computed in ("analysis", "graph"):
        other.__dict__.pop(computed, None)
    return other.graph


# --- other methods


def _traces(session: NetworkSubject, right: Prepared) -> tuple[Trace, ...]:
    binary = right.workbench.build(session.project, right.target)
    cases = [case.inputs for case in session.golden.cases]
    return run(binary, session.project, cases, target=right.target, timeout=TIMEOUT)


def _leaves_tolerance(session: NetworkSubject, right: Prepared, traces: tuple[Trace, ...]) -> bool:
    """Whether an output leaves the tolerance in any case: a value that is no number does."""
    tensors = session.graph.tensors_of(session.graph.outputs)
    for trace, wanted in zip(traces, right.float_outputs, strict=True):
        for tensor, found, real in zip(tensors, trace.outputs, wanted, strict=True):
            value = found.astype(np.float64)
            if tensor.scale is not None:
                value = (value - tensor.zero_point) * tensor.scale
            if value.size != real.size:
                return True
            span = float(real.max() - real.min())
            error = np.abs(value.reshape(-1) - real.reshape(-1))
            if not bool((error <= TOLERANCE * span).all()):
                return True
    return False


def _same_outputs(right: Prepared, traces: tuple[Trace, ...]) -> bool:
    session = right.session
    for number, trace in enumerate(traces):
        expected = session.expected(number)
        for name, found in zip(session.graph.outputs, trace.outputs, strict=True):
            wanted = expected[name]
            if (
                found.shape != wanted.shape
                or found.tobytes() != wanted.astype(found.dtype).tobytes()
            ):
                return False
    return True


def _differs_from_python(session: NetworkSubject, traces: tuple[Trace, ...]) -> bool:
    """C against the Python of the same (wrong) Graph, in every layer."""
    for trace, arrays in zip(traces, session.references, strict=True):
        for name, found in trace.tensors.items():
            if found.tobytes() != arrays[name].astype(found.dtype).tobytes():
                return True
        pairs = zip(session.graph.outputs, trace.outputs, strict=True)
        if any(
            found.tobytes() != arrays[name].astype(found.dtype).tobytes() for name, found in pairs
        ):
            return True
    return False
