"""One recipe through the whole path, by all witnesses: `judge`.

check, extract, reference, the torch witness and the free float32 run, plan, emit, then the C on each target, every
layer and output. The stages are those of `ares verify`. What comes out is one of three: accepted (all agree), refused
by `check` with a reason, or a finding. A finding is everything else, also an error of ARES that comes after `check`
has called the model compatible.
"""

from __future__ import annotations

import re
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import ares
from ares.fuzzer.coverage import cells_of
from ares.fuzzer.findings import Finding, Judged
from ares.fuzzer.findings import command as command
from ares.fuzzer.inputs import CASES, cases_of
from ares.fuzzer.models import build
from ares.fuzzer.recipe import Recipe
from ares.golden import Case
from ares.pipeline.compiled import RunSettings
from ares.pipeline.fidelity import against_float32
from ares.pipeline.model_stages import NOT_MAPPABLE
from ares.toolchain import Target
from ares.verdict import EXTRACT, Outcome, Verdict
from ares.verifier.user_subject import Given, UserSubject
from ares.witness import Judgement
from ares.witness_partings import Float32Run

Array = npt.NDArray[Any]

NAME = "drawn"
"""What every drawn network is called: names in findings and in C are the same for all."""

_PACKAGE = Path(ares.__file__).parent


class DrawnSubject(UserSubject):
    """The stages of one drawn model; all cases in one forward pass each."""

    def __init__(self, recipe: Recipe, again: Callable[[str], str]) -> None:
        model, example = build(recipe)
        super().__init__(Given(NAME, model, example, (), "drawn", None, again, {}))
        self.recipe = recipe

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        return cases_of(self.graph, self.recipe.seed, self.recipe.cases or CASES)

    @cached_property
    def vacuous(self) -> tuple[str, ...]:
        """Nothing: the cases are aimed at edges, and a layer that clips there is meant to."""
        return ()

    def _judge(self, cases: Sequence[int]) -> tuple[Judgement, ...]:
        return self._witness.judge(*self._stacked(cases))

    @cached_property
    def float32(self) -> Float32Run:
        inputs, tensors = self._stacked(range(len(self.cases)))
        return against_float32(self.given.model, self._witness, inputs, tensors)

    def _stacked(self, cases: Sequence[int]) -> tuple[list[Array], Mapping[str, Array]]:
        """Inputs and tensors of several cases along the batch axis."""
        count = len(self.graph.inputs)
        inputs = [np.concatenate([self.cases[k].inputs[i] for k in cases]) for i in range(count)]
        names = [tensor.name for _, tensor in self.graph.produced()]
        tensors = {
            name: np.concatenate([self.references[k][name] for k in cases]) for name in names
        }
        return inputs, tensors


class Front:
    """A recipe up to its C: a subject to be judged on targets, or `judged` where there is nothing left to do."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.subject: DrawnSubject | None = None
        self.judged: Judged | None = None
        self.seconds: dict[str, float] = {}
        # What is counted of the Graph, from when there is one.
        self.facts: dict[str, Any] = {}

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.judged is not None

    def found(self, finding: Finding) -> None:
        self.judged = self._result(finding=finding)

    def refused(self, reason: str) -> None:
        self.judged = self._result(refusal=reason)

    def _result(self, **what: Any) -> Judged:
        return Judged(self.recipe.seed, seconds=self.seconds, **self.facts, **what)


def judge(recipe: Recipe, targets: Sequence[Target]) -> Judged:
    """The whole path of one recipe, each target built and run on its own."""
    front = prepare(recipe)
    for target in targets:
        if not front.is_done:
            _on(front, target)
    return conclude(front, targets)


def _on(front: Front, target: Target) -> None:
    assert front.subject is not None
    with front.timed(target.stage):
        finish(front, target, partial(front.subject.target, target, settings=RunSettings()))


def prepare(recipe: Recipe) -> Front:
    """All stages before the C; the projects are emitted."""
    front = Front(recipe)
    stage = "build"
    try:
        with front.timed(stage):
            subject = DrawnSubject(recipe, again=lambda target: command(recipe.seed, target))
        front.subject = subject
        for row in subject.stages():
            stage = row.name
            with front.timed(stage):
                verdict = subject.stage(row)
            if verdict.outcome is not Outcome.PASS:
                _failed(front, verdict)
                return front
            if row is EXTRACT:
                front.facts["operations"] = Counter(op.OP_TYPE for op in subject.graph.operations)
                front.facts["cases"] = len(subject.cases)
        stage = "emit"
        with front.timed(stage):
            _ = subject.shows
    except Exception as error:  # noqa: BLE001 - what a drawn model raises is a finding, with its traceback
        front.found(_of_exception(recipe.seed, stage, error))
    return front


def finish(front: Front, target: Target, verdict_of: Callable[[], Verdict]) -> None:
    """Judge the C on a target; what is wrong is noted in the front."""
    try:
        verdict = verdict_of()
    except Exception as error:  # noqa: BLE001 - what a drawn model raises is a finding, with its traceback
        front.found(_of_exception(front.recipe.seed, "c", error, target.name))
        return
    if verdict.outcome is Outcome.FAIL:
        _failed(front, verdict, target.name)


def conclude(front: Front, targets: Sequence[Target]) -> Judged:
    """What became of a recipe that was judged on these targets."""
    if front.judged is not None:
        return front.judged
    subject = front.subject
    assert subject is not None
    count = len(subject.project.points) + len(subject.project.outputs)
    return Judged(
        front.recipe.seed,
        cases=len(subject.cases),
        layers=count * len(subject.cases) * len(targets),
        operations=Counter(operation.OP_TYPE for operation in subject.graph.operations),
        cells=cells_of(subject.graph, subject.project),
        seconds=front.seconds,
    )


def _failed(front: Front, verdict: Verdict, target: str = "") -> None:
    subject = front.subject
    assert subject is not None
    if verdict.fault == NOT_MAPPABLE:
        first = subject.analysis.errors[0]
        front.refused(plain(f"{first.layer_type}: {first.reason}"))
        return
    kinds = {op.name: op.OP_TYPE for op in subject.graph.operations}
    what = kinds.get(verdict.layer, "") or plain(verdict.message.partition("\n")[0])
    stage = "c" if target else verdict.stage
    symptom = f"{stage}: {verdict.fault}: {what}"
    front.found(Finding(front.recipe.seed, symptom, stage, verdict.message, verdict.layer, target))


_NAMES = re.compile(r"'[^']*'|\"[^\"]*\"|\bn\d+\b(?:[.#]\w+)*|\bdrawn\b:? ?")
_NUMBERS = re.compile(r"\[[^\]]*\]|[-+]?\d[\d.e+-]*(?:\.\.[-+]?\d[\d.]*)?")


def plain(text: str) -> str:
    """A message without names and numbers: the same for all graphs that it is said of."""
    words = _NUMBERS.sub("N", _NAMES.sub("_", text))
    return " ".join(words.split())[:160]


def _of_exception(seed: int, stage: str, error: Exception, target: str = "") -> Finding:
    """An exception that is no verdict: its class and the function of ARES that it came out of."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents]
    place = "outside"
    if inside:
        file = Path(inside[-1].filename).relative_to(_PACKAGE)
        place = f"{file.with_suffix('').as_posix()}.{inside[-1].name}"
    message = "".join(traceback.format_exception(error))
    symptom = f"{stage}: {type(error).__name__} in {place}"
    return Finding(seed, symptom, stage, message, target=target)
