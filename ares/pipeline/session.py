"""One network through all stages; every stage is computed once and ends in a Verdict.

Stages in order: `check` (nothing in the model stands in the way), `extract` (a valid Graph that fits the golden),
`reference` (the integer reference equals the golden), `torch` (the float64 Brevitas model accepts the golden),
then `c[<target>]` for each target (the compiled C equals the golden, every layer of every case).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.emit import emit
from ares.extract import Analysis, ExtractionError, analyse
from ares.golden import Golden, GoldenCase, GoldenError, load_golden, required, sha256
from ares.golden.store import tensor_digest
from ares.ir import Graph, GraphError, Project, Trace
from ares.ops import run_reference
from ares.pipeline.stored_state import read_state, restore_state
from ares.pipeline.zoo import ZooPaths
from ares.plan import PlanError, plan
from ares.toolchain import BuildFailure, RunFailure, Target, build, run
from ares.verify import Outcome, Verdict, blame, first_difference
from ares.witness import Judgement, Witness, WitnessError
from ares.zoo.network_file import NetworkFile, NetworkFileError, load_network_file
from ares.zoo.state import StateError, StateInfo

Array = npt.NDArray[Any]
STAGES = ("check", "extract", "reference", "torch")

_SUBJECT_FAULTS = (
    ExtractionError,
    GoldenError,
    GraphError,
    NetworkFileError,
    PlanError,
    StateError,
    WitnessError,
)


class Session:
    """Lazily computed stages of one network of the zoo."""

    def __init__(self, paths: ZooPaths) -> None:
        self.paths = paths
        self.name = paths.name

    # What the stages share. Each raises one of _SUBJECT_FAULTS with a line for the user.

    @cached_property
    def network(self) -> NetworkFile:
        return load_network_file(self.paths.source)

    @cached_property
    def restored(self) -> tuple[Any, StateInfo]:
        return restore_state(self.network, read_state(self.paths))

    @cached_property
    def analysis(self) -> Analysis:
        inputs = self.network.example_inputs()
        return analyse(self.restored[0], inputs, self.name, allow_uncalibrated=False)

    @cached_property
    def graph(self) -> Graph:
        for finding in self.analysis.errors:
            raise ExtractionError(self.name, finding)
        assert self.analysis.graph is not None
        return self.analysis.graph

    @cached_property
    def golden(self) -> Golden:
        return load_golden(self.paths.golden)

    @cached_property
    def references(self) -> tuple[Mapping[str, Array], ...]:
        return tuple(run_reference(self.graph, case.inputs) for case in self.golden.cases)

    @cached_property
    def project(self) -> Project:
        return emit(plan(self.graph))

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        """The torch witness on the golden codes of all cases, in one forward pass."""
        return self._judge(range(len(self.golden.cases)))

    def _judge(self, cases: Sequence[int]) -> tuple[Judgement, ...]:
        inputs = [
            np.concatenate([self.golden.cases[k].inputs[i] for k in cases])
            for i in range(len(self.graph.inputs))
        ]
        names = [tensor.name for _, tensor in self.graph.produced()]
        tensors = {name: np.concatenate([self.expected(k)[name] for k in cases]) for name in names}
        return Witness(self.restored[0], self.graph).judge(inputs, tensors)

    def expected(self, case: int) -> Mapping[str, Array]:
        """Golden arrays: the stored ones, else the reference's (whose digests stage `reference` checks)."""
        return {**self.references[case], **self.golden.cases[case].arrays}

    # The stages.

    def stage(self, name: str) -> Verdict:
        """The verdict of a stage of STAGES."""
        stages: dict[str, Callable[[], Verdict]] = {
            "check": self._check,
            "extract": self._extract,
            "reference": self._reference,
            "torch": self._torch,
        }
        return self._timed(name, stages[name])

    def target(self, target: Target) -> Verdict:
        """The verdict of the compiled C on a target."""
        stage = f"c[{target.name}]"
        missing = target.missing()
        if missing is not None:
            return Verdict(self.name, stage, Outcome.NOT_RUN, missing, fault="missing tool")
        return self._timed(stage, lambda: self._c(stage, target))

    def _timed(self, stage: str, work: Callable[[], Verdict]) -> Verdict:
        start = time.monotonic()
        try:
            verdict = work()
        except _SUBJECT_FAULTS as error:
            verdict = self._fail(stage, str(error), fault=type(error).__name__)
        return replace(verdict, seconds=time.monotonic() - start)

    def _fail(self, stage: str, message: str, *, fault: str, layer: str = "") -> Verdict:
        text = f"{message}\nto repeat it: {self.reproduce(stage)}"
        return Verdict(self.name, stage, Outcome.FAIL, text, fault, layer)

    def reproduce(self, stage: str) -> str:
        """The command that shows this stage of this network again."""
        target = stage.removeprefix("c[").removesuffix("]") if stage.startswith("c[") else ""
        return f"ares networks {self.name}" + (f" --target {target}" if target else "")

    def _pass(self, stage: str, message: str = "") -> Verdict:
        return Verdict(self.name, stage, Outcome.PASS, message)

    def _check(self) -> Verdict:
        errors = self.analysis.errors
        if errors:
            return self._fail(
                "check",
                "\n".join(str(finding) for finding in errors),
                fault="not mappable",
                layer=errors[0].layer,
            )
        return self._pass("check", f"{len(self.analysis.findings)} findings, no error")

    def _extract(self) -> Verdict:
        graph = self.graph  # a state that is missing says more than a golden that is
        required(self.golden, graph)
        if self.golden.provenance.get("state_sha256") != sha256(read_state(self.paths)):
            raise GoldenError(
                f"{self.name}: the golden was made from another state than the one beside it; restore both "
                f"with git checkout, or run python tools/regenerate_golden.py {self.name}"
            )
        return self._pass("extract", f"{len(self.graph.operations)} operations")

    def _reference(self) -> Verdict:
        self._extract()
        for number, case in enumerate(self.golden.cases):
            for line in case.records:
                found = self.references[number][line.name]
                if tensor_digest(found) == line.digest:
                    continue
                detail = self._difference(case, line.name, found)
                return self._fail(
                    "reference",
                    f"{self.name}: case {case.name}: {self._place(line.layer, line.op_type)}: "
                    f"the reference differs from the golden\n{detail}\n"
                    + self._blame(number, line.name),
                    fault="difference",
                    layer=line.layer,
                )
        return self._pass("reference")

    def _place(self, layer: str, op_type: str) -> str:
        """A layer as messages name it; of a stage also the composite that it is part of."""
        for composite in self.graph.composites:
            if layer in composite.members:
                return f"layer {composite.name} ({composite.op_type}), stage {layer} ({op_type})"
        return f"layer {layer} ({op_type})"

    def _difference(self, case: GoldenCase, name: str, found: Array) -> str:
        golden = case.arrays.get(name)
        if golden is None:
            return f"tensor {name}: its digest differs (it is not stored whole in this case)"
        difference = first_difference(name, golden, found)
        return "\n".join(difference.lines()) if difference else f"tensor {name}: digest differs"

    def _blame(self, case: int, name: str, c_agrees: bool | None = None) -> str:
        """Whose fault a difference in one tensor of one case is."""
        try:
            judgements = self._judge([case])
        except WitnessError as error:
            return f"torch could not be asked: {error}"
        accepted = all(j.accepted for j in judgements if j.tensor == name and not j.of_weights)
        if not self._knows(case, name):
            # Torch judged the reference's codes: those, accepted, speak against the golden.
            accepted = not accepted
        return blame(
            reference_agrees=self._reference_agrees(case, name),
            torch_agrees=accepted,
            c_agrees=c_agrees,
        )

    def _knows(self, case: int, name: str) -> bool:
        """Whether `expected` is the golden itself: stored whole, or equal to it by its digest."""
        return name in self.golden.cases[case].arrays or self._reference_agrees(case, name)

    def _reference_agrees(self, case: int, name: str) -> bool:
        digests = {line.name: line.digest for line in self.golden.cases[case].records}
        return tensor_digest(self.references[case][name]) == digests[name]

    def _torch(self) -> Verdict:
        self._extract()
        rejected = [judgement for judgement in self.judgements if not judgement.accepted]
        if not rejected:
            worst = max(judgement.deviation for judgement in self.judgements)
            return self._pass("torch", f"largest deviation {worst:.2g}")
        first = rejected[0]
        producer = {tensor.name: op for op, tensor in self.graph.produced()}[first.tensor]
        if first.of_weights:
            where, what = "(weights)", "the weights"
            who = "the weights in the Graph are not the model's: fault in the extraction"
        else:
            case = first.index[0]
            where, who = self.golden.cases[case].name, self._blame(case, first.tensor)
            what = "the golden" if self._knows(case, first.tensor) else "what the reference makes"
        return self._fail(
            "torch",
            f"{self.name}: case {where}: {self._place(producer.name, producer.OP_TYPE)}: "
            f"the Brevitas model does not accept {what} of {first.tensor} at {first.event}\n"
            f"worst of {first.elements} elements at {list(first.index)}: code {first.code:g}, "
            f"model means {first.real:.9g}; deviation {first.deviation:.3g}, allowed {first.eps:.3g}\n"
            + who,
            fault="difference",
            layer=producer.name,
        )

    def _c(self, stage: str, target: Target) -> Verdict:
        self._extract()
        try:
            binary = build(self.project, target)
            traces = run(binary, self.project, [case.inputs for case in self.golden.cases])
        except BuildFailure as error:
            return self._fail(stage, str(error), fault="build")
        except RunFailure as error:
            return self._fail(stage, str(error), fault=error.kind)
        for number, (case, trace) in enumerate(zip(self.golden.cases, traces, strict=True)):
            verdict = self._compare(stage, number, case, trace)
            if verdict is not None:
                return verdict
        return self._pass(stage, f"{len(traces)} cases, {len(self.project.points)} layers each")

    def _compare(self, stage: str, number: int, case: GoldenCase, trace: Trace) -> Verdict | None:
        """The first difference in order of execution, None when every layer is equal."""
        digests = {line.name: line.digest for line in case.records}
        for point in self.project.points:
            found = trace.tensors[point.tensor]
            if tensor_digest(found) == digests[point.tensor]:
                continue
            expected = self.expected(number)[point.tensor]
            difference = first_difference(point.tensor, expected, found)
            detail = (
                "\n".join(difference.lines())
                if difference
                else "its digest differs from the golden's"
            )
            judged = self._blame(number, point.tensor, c_agrees=False)
            return self._fail(
                stage,
                f"{self.name}: {stage}: case {case.name}: {self._place(point.layer, point.op_type)}: "
                f"tensor {point.tensor} differs from the golden\n{detail}\n{judged}",
                fault="difference",
                layer=point.layer,
            )
        points = {point.tensor: point for point in self.project.points}
        for name, output in zip(self.graph.outputs, trace.outputs, strict=True):
            if output.tobytes() != trace.tensors[name].tobytes():
                point = points[name]
                return self._fail(
                    stage,
                    f"{self.name}: {stage}: case {case.name}: layer {point.layer} ({point.op_type}): "
                    f"tensor {name} is right, but not what the network puts out: fault in executor or plan",
                    fault="difference",
                    layer=point.layer,
                )
        return None
