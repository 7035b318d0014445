"""One model on chosen targets, and all that there is to say of it: verdicts, a line a layer, JSON.

Targets are compared side by side in threads: the work is done by compilers and programs, which are processes.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import Any

from ares.golden.store import tensor_digest
from ares.pipeline import expectations
from ares.pipeline.compiled import RunSettings
from ares.pipeline.front import Front, Store
from ares.pipeline.keys import Keys
from ares.pipeline.matrix import Event, Matrix
from ares.prover.proving import Proof, kinds_of
from ares.prover.verdicts import Judged, judge_proofs
from ares.toolchain import Target, ToolchainError
from ares.toolchain.process import side_by_side
from ares.verdict import REFERENCE, Outcome, Verdict
from ares.verifier.user_subject import UserSubject
from ares.witness import WitnessError
from ares.witness_partings import Float32Run

FORMAT = "ares-verify-1"
# Deviations below this are float64's own.
_NOISE = 1e-10
_DIFFERENCES = ("difference", "byte order")

Progress = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class LayerLine:
    """What is known of one tensor that a layer makes.

    `composite` is the layer that this one is a stage of, "" for none. `saturated` and `distinct` are over the given
    cases; `deviation` is the largest distance from the Brevitas model beyond rounding, in codes (relative to each
    element for binary32), over all cases; None where the model shows nothing at this place. `exact` and
    `differs` name targets; one that is in neither did not come that far. `folded_into`: the layers that do this one's
    work in the C, which makes no such tensor; whether it is right shows in theirs. `shown_for`: with proofs, for which
    inputs the layer was shown to be right, the least of all targets.
    """

    layer: str
    composite: str
    tensor: str
    op_type: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int
    saturated: float
    distinct: int
    deviation: float | None
    allowed: float | None
    exact: tuple[str, ...]
    differs: tuple[str, ...]
    folded_into: tuple[str, ...]
    shown_for: str = ""

    def as_json(self) -> dict[str, Any]:
        """As plain values; a deviation without bound has none."""
        known = self.deviation is not None and math.isfinite(self.deviation)
        return {**asdict(self), "deviation": self.deviation if known else None}


@dataclass(frozen=True, slots=True)
class Failing:
    """A target on which some cases differ when they run alone: (case, first layer), by number of the case."""

    target: Target
    cases: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """The whole result. `warnings` say where the evidence is thin; `notes` what was left out or cast.

    `unmappable`: the first reason why there is no Graph, "" where there is one. `float32`: how the codes compare with
    the float32 model's own, None where it was not reached.
    """

    network: str
    model: str
    inputs: str
    cases: tuple[str, ...]
    matrix: Matrix
    layers: tuple[LayerLine, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    failing: tuple[Failing, ...]
    unmappable: str = ""
    float32: Float32Run | None = None

    @property
    def passed(self) -> bool:
        """Every stage passed, and at least one target shows it."""
        return not self.matrix.failures and bool(self.exact_targets)

    @property
    def exact_targets(self) -> tuple[str, ...]:
        exact = {verdict.stage for verdict in self.matrix.having(Outcome.PASS)}
        return tuple(target.name for target in self.matrix.targets if target.stage in exact)

    @property
    def deviation(self) -> float:
        """The largest one of all layers."""
        return max((line.deviation or 0.0 for line in self.layers), default=0.0)

    @property
    def known(self) -> bool:
        """Whether anything was compared: all was exact, or something was not."""
        failures = self.matrix.failures
        return self.passed or any(not verdict.compared_nothing for verdict in failures)

    @property
    def summary(self) -> str:
        """One line that says it all."""
        failures = self.matrix.failures
        if self.unmappable:
            return f"NOT MAPPABLE: {self.unmappable}"
        if failures and not self.known:
            why = failures[0].message.partition("\n")[0]
            exact = f"; exact on {', '.join(self.exact_targets)}" if self.exact_targets else ""
            return f"NOT VERIFIED: {failures[0].stage}: {failures[0].fault}: {why}{exact}"
        if failures:
            first = next(verdict for verdict in failures if not verdict.compared_nothing)
            place = f" at layer {first.layer}" if first.layer else ""
            more = f"; {len(failures)} stages failed" if len(failures) > 1 else ""
            exact = f"; exact on {', '.join(self.exact_targets)}" if self.exact_targets else ""
            return f"NOT EXACT: {first.stage} failed ({first.fault}){place}{more}{exact}"
        if not self.exact_targets:
            return "NOT VERIFIED: no target could be run"
        folded = sum(bool(line.folded_into) for line in self.layers)
        layers = _count(len(self.layers) - folded, "layer")
        layers += f" and {folded} folded into others" if folded else ""
        return (
            f"EXACT: {layers}, {_count(len(self.cases), 'case')}, "
            f"{_count(len(self.exact_targets), 'target')}: the C computes the integers that the model means"
        )

    def as_json(self) -> dict[str, Any]:
        """The result as plain values."""
        targets = [target.name for target in self.matrix.targets]
        return {
            "format": FORMAT,
            "network": self.network,
            "model": self.model,
            "inputs": self.inputs,
            "passed": self.passed,
            "summary": self.summary,
            "seconds": round(self.matrix.seconds, 3),
            "cases": list(self.cases),
            "targets": targets,
            "exact_targets": list(self.exact_targets),
            "largest_deviation": self.deviation if math.isfinite(self.deviation) else None,
            "float32": self.float32.as_json() if self.float32 else None,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "patterns": {name: list(facts) for name, facts in self.matrix.patterns.items()},
            "verdicts": [verdict.as_json() for verdict in self.matrix.verdicts],
            "layers": [line.as_json() for line in self.layers],
        }


def verify(
    subject: UserSubject,
    targets: Sequence[Target],
    jobs: int | None,
    progress: Progress,
    *,
    fresh: bool = False,
    proofs: bool = False,
) -> Verification:
    """Every stage, then every target, and with `proofs` its proof; what needs a stage that failed is not reached.

    `fresh`: neither verdicts nor programs of an earlier run are taken over.
    """
    start = time.monotonic()
    planned = len(subject.stages()) + len(targets)
    verdicts: list[Verdict] = []
    for stage in subject.stages():
        progress(Event((stage.name,), len(verdicts), planned))
        verdicts.append(subject.stage(stage))
        failed = verdicts[-1].outcome is Outcome.FAIL
        if failed and (stage.gives_graph or stage.gives_codes):
            # Without a Graph there is no C, and without a reference nothing to compare it with.
            seconds = time.monotonic() - start
            return _result(subject, Matrix(tuple(verdicts), seconds, tuple(targets)), ())
    settings = RunSettings(since=time.time() if fresh else 0.0)
    compared = _targets(subject, targets, jobs, progress, settings)
    verdicts += [verdict for verdict, _ in compared]
    proven = judge_proofs(subject, targets) if proofs else Judged((), ())
    verdicts += proven.verdicts
    matrix = Matrix(tuple(verdicts), time.monotonic() - start, tuple(targets))
    pairs = zip(targets, compared, strict=True)
    failing = tuple(Failing(target, cases) for target, (_, cases) in pairs if cases)
    return _result(subject, matrix, failing, proven.proofs)


_Compared = tuple[Verdict, tuple[tuple[int, str], ...]]


def _targets(
    subject: UserSubject,
    targets: Sequence[Target],
    jobs: int | None,
    progress: Progress,
    settings: RunSettings,
) -> list[_Compared]:
    """The verdict on each target, in their order, and which cases differ there."""
    with suppress(*subject.FAULTS):  # every target will say so
        # What the threads share is made once, before there are any.
        _ = subject.shows, subject.guarded_project
    before = len(subject.stages())
    planned = before + len(targets)
    told: SimpleQueue[str] = SimpleQueue()  # by the threads, and passed on by this one
    settings = replace(settings, tell=told.put)
    workers = max(1, min(jobs or os.cpu_count() or 1, len(targets)))
    with side_by_side(workers) as pool:
        futures: dict[Future[_Compared], Target] = {
            pool.submit(_compare, subject, target, settings): target for target in targets
        }
        left = set(futures)
        ended: set[Future[_Compared]] = set()
        while left:
            running = tuple(futures[f].stage for f in futures if f in left and f.running())
            new = tuple(future.result()[0] for future in ended)
            progress(Event(running, planned - len(left), planned, new))
            while not told.empty():
                progress(Event(running, planned - len(left), planned, told=told.get()))
            ended, left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED)
        return [future.result() for future in futures]


def _compare(subject: UserSubject, target: Target, settings: RunSettings) -> _Compared:
    verdict = expectations.judge(_verdict(subject, target, settings))
    if verdict.outcome is not Outcome.FAIL or verdict.fault not in _DIFFERENCES:
        return verdict, ()
    # The verdict is about the first case that differs; another one may differ in an earlier layer.
    alone = [
        (number, subject.target(target, number, settings)) for number in range(len(subject.cases))
    ]
    return verdict, tuple(
        (number, found.layer) for number, found in alone if found.outcome is Outcome.FAIL
    )


def _verdict(subject: UserSubject, target: Target, settings: RunSettings) -> Verdict:
    """What a target makes of all cases: kept from an earlier run of the same C on the same inputs, or computed."""
    compute = partial(subject.target, target, settings=settings)
    if not target.machine.tells_version:
        return (
            compute()
        )  # by another version of its runner, which nobody could tell, it may be another
    faults: tuple[type[Exception], ...] = (*subject.FAULTS, ToolchainError)
    try:
        store, key = Store(), _key(subject, target)
    except faults:
        return compute()  # which says what is wrong
    kept = None if settings.since else store.verdict(key)
    if kept is not None:
        return kept
    verdict = compute()
    if not expectations.judge(verdict).outcome.facts.kept:
        store.forget_verdict(key)
    elif _key(subject, target) == key:  # nothing was changed meanwhile
        store.keep_verdict(key, verdict)
    return verdict


def _key(subject: UserSubject, target: Target) -> str:
    front = Front.of(subject, ())
    inputs = (tensor_digest(array) for case in subject.cases for array in case.inputs)
    return Keys().cell(front, (), target, inputs=(subject.name, *inputs))


def _result(
    subject: UserSubject, matrix: Matrix, failing: tuple[Failing, ...], proofs: Sequence[Proof] = ()
) -> Verification:
    stages = {verdict.stage: verdict.outcome for verdict in matrix.verdicts}
    reached = stages.get(REFERENCE.name) is Outcome.PASS
    notes = list(subject.given.notes)
    if reached and subject.left_out:
        notes.append(
            f"{subject.left_out} of {len(subject.given.rows)} samples were left out: --cases"
        )
    return Verification(
        network=subject.name,
        model=type(subject.given.model).__name__,
        inputs=subject.given.origin,
        cases=tuple(case.name for case in subject.cases) if reached else (),
        matrix=matrix,
        layers=_lines(subject, matrix, failing, kinds_of(proofs)) if reached else (),
        warnings=subject.vacuous if reached else (),
        notes=tuple(notes),
        failing=failing,
        unmappable="".join(subject.refusal(verdict) for verdict in matrix.failures),
        float32=_float32(subject) if reached else None,
    )


def _float32(subject: UserSubject) -> Float32Run | None:
    try:
        return subject.float32
    except WitnessError:
        return None  # the verdict of stage `torch` says why


def _lines(
    subject: UserSubject,
    matrix: Matrix,
    failing: Sequence[Failing],
    kinds: Mapping[str, str],
) -> tuple[LayerLine, ...]:
    graph = subject.graph
    order = [operation.name for operation in graph.operations]
    passed = {verdict.stage for verdict in matrix.having(Outcome.PASS)}
    exact = {target.name for target in matrix.targets if target.stage in passed}
    first = {
        failed.target.name: min((layer for _, layer in failed.cases), key=order.index)
        for failed in failing
        if all(layer in order for _, layer in failed.cases)
    }
    composites = {member: c.name for c in graph.composites for member in c.members}
    deviations = _deviations(subject)
    folded = _folded(subject)
    lines = []
    for operation, tensor in graph.produced():
        here = order.index(operation.name)
        before = [name for name, layer in first.items() if here < order.index(layer)]
        deviation, allowed = deviations.get(tensor.name, (None, None))
        seen = subject.statistics[tensor.name]
        into = folded.get(operation.name, ())
        shown = () if into else (*exact, *before)
        lines.append(
            LayerLine(
                layer=operation.name,
                composite=composites.get(operation.name, ""),
                tensor=tensor.name,
                op_type=operation.OP_TYPE,
                dtype=tensor.dtype.value,
                shape=tensor.shape,
                scale=tensor.scale,
                zero_point=tensor.zero_point,
                saturated=seen.saturated,
                distinct=seen.distinct,
                deviation=deviation,
                allowed=allowed,
                exact=tuple(t.name for t in matrix.targets if t.name in shown),
                differs=tuple(name for name, layer in first.items() if layer == operation.name),
                folded_into=into,
                shown_for=kinds.get(operation.name, ""),
            )
        )
    return tuple(lines)


def _folded(subject: UserSubject) -> Mapping[str, tuple[str, ...]]:
    """Layers that no run shows -> those that do their work."""
    with suppress(*subject.FAULTS):  # every target has said so
        return {line.layer: line.into for line in subject.project.folded}
    return {}


def _deviations(subject: UserSubject) -> Mapping[str, tuple[float, float]]:
    """Tensor -> the worst deviation that the witness saw and the one it allows; float64's noise counts as none."""
    try:
        judgements = subject.judgements
    except WitnessError:
        return {}  # the verdict of stage `torch` says why
    found: dict[str, tuple[float, float]] = {}
    for judgement in judgements:
        if judgement.of_weights:
            continue
        # A deviation that is not a number is the worst there is.
        seen = math.inf if math.isnan(judgement.deviation) else judgement.deviation
        worst = found.get(judgement.tensor, (0.0, judgement.eps))
        seen = max(worst[0], seen if seen > _NOISE else 0.0)
        found[judgement.tensor] = (seen, max(worst[1], judgement.eps))
    return found


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
