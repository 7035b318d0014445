"""A user's model through the stages of the zoo; its golden is made in memory and never stored.

The integer reference computes every case, the torch witness judges what it computed, and the C must equal it. Cases:
the given samples (else the example inputs), then random values over the whole range and edge values.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.checker import first_reason, judge
from ares.extract import Analysis, Finding
from ares.golden import (
    Case,
    Golden,
    Statistics,
    audit,
    golden_case,
    make_cases,
    statistics,
)
from ares.ir import Graph, GraphError, Tensor
from ares.ops import run_reference
from ares.pipeline.fidelity import against_float32
from ares.pipeline.model_stages import FAULTS, NOT_MAPPABLE, ModelStages, mapped
from ares.pipeline.subject import Subject
from ares.user_files import UserInputError
from ares.verdict import REFERENCE, Stage, Verdict
from ares.witness import Judgement, Witness
from ares.witness_partings import Float32Run, together

Array = npt.NDArray[Any]
Row = tuple[Array, ...]

MOST_ROWS = 64
"""Samples that are judged when nobody says how many."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a user hands over: a model in evaluation mode, inputs that `forward` runs on, samples, how many cases.

    `example` are tensors of torch; `rows` one sample each, empty where only the example is given; `origin` says in
    words where the inputs come from, `notes` what was done to them. `again` makes the command that repeats the run, on
    one target where it is given a name. `vacuity` excuses layers (layer -> reason). `refusal`: why Brevitas itself runs
    the model on no input.
    """

    name: str
    model: Any
    example: tuple[Any, ...]
    rows: Sequence[Row]
    origin: str
    cases: int | None
    again: Callable[[str], str]
    vacuity: Mapping[str, str]
    notes: tuple[str, ...] = ()
    refusal: Finding | None = None


class UserSubject(Subject):
    """The stages of one model that is not in the zoo."""

    FAULTS = FAULTS

    def __init__(self, given: Given) -> None:
        self.name = given.name
        self.given = given
        self._asking = threading.Lock()

    @cached_property
    def analysis(self) -> Analysis:
        if self.given.refusal is not None:
            return Analysis((self.given.refusal,), None)
        return judge(self.given.model, self.given.example, self.name, allow_uncalibrated=False)

    @cached_property
    def graph(self) -> Graph:
        return mapped(self.name, self.analysis)

    def refusal(self, verdict: Verdict) -> str:
        """The first reason why the model cannot be mapped, and how many more; "" where `verdict` is about another."""
        if verdict.fault != NOT_MAPPABLE:
            return ""
        return first_reason([str(finding) for finding in self.analysis.errors])

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Samples first, then what is made, as many as were asked for."""
        rows = self.given.rows or [_row(self.given.example)]
        if len(self.graph.inputs) != len(rows[0]):
            raise UserInputError(
                f"{self.name}: {len(rows[0])} arrays ({self.given.origin}), expected one for each of the network's "
                f"inputs, which are {', '.join(self.graph.inputs)}"
            )
        count = self.given.cases
        if count is None:
            rows = rows[:MOST_ROWS]
            count = len(rows) + 2
        cases = [self._sample(number, row) for number, row in enumerate(rows[:count])]
        series = 1
        while len(cases) < count:
            cases += _made(self.graph, rows[0], series)[: count - len(cases)]
            series += 1
        return tuple(cases)

    @property
    def left_out(self) -> int:
        """Samples that no case is made of."""
        return max(0, len(self.given.rows) - self._samples)

    @property
    def _samples(self) -> int:
        """The number of cases that are given; the ones after them are made."""
        rows = max(1, len(self.given.rows))
        return min(rows, len(self.cases) if self.given.cases is not None else MOST_ROWS)

    def _sample(self, number: int, row: Row) -> Case:
        where = f"sample {number}" if self.given.rows else "the example"
        for name, array in zip(self.graph.inputs, row, strict=True):
            _require_fit(self.graph.tensor(name), array, f"{where} of {self.given.origin}")
        case = make_cases(self.graph, row)[0]
        return replace(case, name=f"sample_{number}") if self.given.rows else case

    @cached_property
    def references(self) -> tuple[Mapping[str, Array], ...]:
        return tuple(self._computed(case) for case in self.cases)

    def _computed(self, case: Case) -> Mapping[str, Array]:
        try:
            return run_reference(self.graph, case.inputs)
        except GraphError as error:
            raise GraphError(f"case {case.name}: {error}") from error

    @cached_property
    def golden(self) -> Golden:
        pairs = zip(self.cases, self.references, strict=True)
        cases = tuple(
            golden_case(self.graph, case.name, case.inputs, arrays) for case, arrays in pairs
        )
        return Golden(self.name, {}, cases)

    def check_golden(self) -> None:
        """There is nothing stored that could be another network's."""
        _ = self.golden

    @cached_property
    def vacuous(self) -> tuple[str, ...]:
        """What the given inputs show little of: layers that are constant or clipped in them."""
        limit = self.cases[0].saturation_limit
        assert limit is not None
        sizes = {tensor.name: tensor.size for _, tensor in self.graph.produced()}
        found = {name: (sizes[name], seen) for name, seen in self.statistics.items()}
        return tuple(audit(found, limit, self.given.vacuity))

    @cached_property
    def statistics(self) -> Mapping[str, Statistics]:
        """Clipped share and distinct values of every layer's tensor over the cases that were given."""
        return {
            tensor.name: statistics(tensor, np.concatenate(self._of_samples(tensor.name)))
            for _, tensor in self.graph.produced()
        }

    def _of_samples(self, tensor: str) -> list[Array]:
        """A tensor in all cases that were given."""
        return [arrays[tensor] for arrays in self.references[: self._samples]]

    @cached_property
    def _witness(self) -> Witness:
        return Witness(self.given.model, self.graph)

    def _judge(self, cases: Sequence[int]) -> tuple[Judgement, ...]:
        """One forward pass a case: a user's model may take a batch for granted."""
        found: list[Judgement] = []
        for number in cases:
            arrays = self.expected(number)
            names = [tensor.name for _, tensor in self.graph.produced()]
            judged = self._witness.judge(
                self.golden.cases[number].inputs, {name: arrays[name] for name in names}
            )
            found += [
                judgement if judgement.of_weights else _of_case(judgement, number)
                for judgement in judged
                if not (judgement.of_weights and found)
            ]
        return tuple(found)

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        """The torch witness on the reference's codes of all cases."""
        return self._judge(range(len(self.cases)))

    @cached_property
    def float32(self) -> Float32Run:
        """The reference's codes of all cases against the float32 model's own, one case after the other."""
        return together(
            [
                against_float32(self.given.model, self._witness, case.inputs, self.expected(number))
                for number, case in enumerate(self.golden.cases)
            ]
        )

    @property
    def _model_stages(self) -> ModelStages:
        return ModelStages(
            self,
            lambda: self.analysis,
            self._judge,
            lambda: self.judgements,
            lambda: self.float32,
        )

    def stages(self) -> Mapping[Stage, Callable[[], Verdict]]:
        return self._model_stages.around(self._reference)

    def _reference(self) -> Verdict:
        """The reference ran; the golden is what it computed."""
        self.check_golden()
        return self.succeed(REFERENCE.name, f"{len(self.cases)} cases")

    def whose_fault(self, case: int, tensor: str, c_agrees: bool | None = None) -> str:
        with self._asking:  # targets are compared side by side, the model is one
            return self._model_stages.whose_fault(case, tensor, c_agrees)

    def again(self, target: str = "") -> str:
        return self.given.again(target)


def _row(tensors: Sequence[Any]) -> Row:
    """The first sample of tensors of torch; real values as binary32."""
    arrays = []
    for tensor in tensors:
        sample = tensor[:1].detach()
        real = sample.is_floating_point()
        arrays.append(np.ascontiguousarray((sample.float() if real else sample.long()).numpy()))
    return tuple(arrays)


def _require_fit(tensor: Tensor, array: Array, where: str) -> None:
    """Refuse a sample that is not of the input's shape, or an id that no table has."""
    kind = "i" if tensor.dtype.is_integer else "f"
    if array.shape != tensor.shape or array.dtype.kind != kind:
        want = "int64" if tensor.dtype.is_integer else "float32"
        raise UserInputError(
            f"{where}: input {tensor.name} is {array.dtype}{list(array.shape)}, "
            f"expected {want}{list(tensor.shape)}"
        )
    if tensor.dtype.is_integer and not (tensor.lo <= array.min() and array.max() <= tensor.hi):
        raise UserInputError(
            f"{where}: input {tensor.name} holds ids {array.min()} to {array.max()}, "
            f"the network has {tensor.lo} to {tensor.hi}"
        )


def _made(graph: Graph, row: Row, series: int) -> list[Case]:
    """A random and an edge case; another series has other bits."""
    if series == 1:
        return list(make_cases(graph, row)[1:])
    other = replace(graph, name=f"{graph.name}/{series}")
    return [replace(case, name=f"{case.name}_{series}") for case in make_cases(other, row)[1:]]


def _of_case(judgement: Judgement, number: int) -> Judgement:
    """`index[0]` names the case, as where several cases are judged at once."""
    return replace(judgement, index=(number, *judgement.index[1:]))
