"""What is judged: a Graph, its golden, and the C that is made of it. Networks and operations' cases alike.

A kind of subject says where Graph and golden come from, which stages that takes, and who is asked about a difference.
Everything is computed when it is first asked for. What an earlier process has found out (`Front`) can be handed in.
"""

from __future__ import annotations

import errno
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy.typing as npt

from ares.emit import emit
from ares.golden import Golden, GoldenCase, GoldenError
from ares.golden.store import tensor_digest
from ares.ir import Graph, GraphError, Project, trace_digest
from ares.ops import KernelOperation, run_reference
from ares.pipeline.compiled import RunSettings, judge_c, output_digest
from ares.plan import PlanError, plan, site_of
from ares.toolchain import Target
from ares.verdict import REFERENCE, Outcome, Stage, Verdict, first_difference

Array = npt.NDArray[Any]

# Bytes between the buffers of an arena that sanitizers watch.
GUARD = 64


@dataclass(frozen=True, slots=True)
class Shows:
    """What a right run shows of one case: digests by tensor (None: not known beforehand), and of the outputs."""

    tensors: Mapping[str, str | None]
    outputs: tuple[str | None, ...]


class Subject(ABC):
    """Lazily computed stages of one subject; each ends in a Verdict."""

    FAULTS: ClassVar[tuple[type[Exception], ...]] = (GoldenError, GraphError, PlanError)
    """Errors with a line for the user, which are the subject's own."""

    name: str

    # In what kinds of subjects differ.

    @property
    @abstractmethod
    def graph(self) -> Graph:
        """The network as integers."""

    @property
    @abstractmethod
    def golden(self) -> Golden:
        """The right integers, case by case."""

    @abstractmethod
    def check_golden(self) -> None:
        """Raise unless Graph and golden are of the same subject."""

    @abstractmethod
    def whose_fault(self, case: int, tensor: str, c_agrees: bool | None = None) -> str:
        """A sentence on whose fault a difference in one tensor of one case is."""

    @abstractmethod
    def stages(self) -> Mapping[Stage, Callable[[], Verdict]]:
        """The stages before the C, in their order, and what judges each."""

    def again(self, target: str = "") -> str:
        """The command that shows everything again, or what is on one target."""
        return f"ares networks {self.name}" + (f" --target {target}" if target else "")

    # What follows from Graph and golden.

    @cached_property
    def references(self) -> tuple[Mapping[str, Array], ...]:
        return tuple(run_reference(self.graph, case.inputs) for case in self.golden.cases)

    @cached_property
    def project(self) -> Project:
        return emit(plan(self.graph))

    @cached_property
    def guarded_project(self) -> Project:
        """The same, with gaps between the arena's buffers."""
        return emit(plan(self.graph, guard=GUARD))

    def project_for(self, target: Target) -> Project:
        """What is built for a target."""
        return self.guarded_project if target.guarded else self.project

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        operations = [op for op in self.graph.operations if isinstance(op, KernelOperation)]
        return sum(operation.macs(site_of(self.graph, operation)) for operation in operations)

    @cached_property
    def shows(self) -> tuple[Shows, ...]:
        """What a right run shows, case by case."""
        return tuple(self._case_shows(number) for number in range(len(self.golden.cases)))

    def _case_shows(self, number: int) -> Shows:
        arrays = self.expected(number)
        known = {line.name: line.digest for line in self.golden.cases[number].layers}
        # What is not the golden itself cannot say what is right; it is asked for whole, and its digest judged.
        right = {
            point.tensor: trace_digest(point.to_memory(arrays[point.tensor]))
            for point in self.project.points
            if tensor_digest(arrays[point.tensor]) == known[point.tensor]
        }
        tensors = {point.tensor: right.get(point.tensor) for point in self.project.points}
        ports = zip(self.graph.outputs, self.project.outputs, strict=True)
        outputs = [
            output_digest(port, arrays[name]) if tensors[name] is not None else None
            for name, port in ports
        ]
        return Shows(tensors, tuple(outputs))

    def expected(self, case: int) -> Mapping[str, Array]:
        """Golden arrays: the stored ones, else the reference's (whose digests stage `reference` checks)."""
        return {**self.references[case], **self.golden.cases[case].arrays}

    # Verdicts.

    def stage(self, stage: Stage) -> Verdict:
        """The verdict of a stage before the C."""
        return self._timed(stage.name, "", self.stages()[stage])

    def target(
        self, target: Target, only_case: int | None = None, settings: RunSettings | None = None
    ) -> Verdict:
        """The verdict of the compiled C on a target, over all cases or over one (modulo their number)."""
        lacking, missing = target.lacking(), target.missing()
        if lacking is not None or missing is not None:
            outcome = Outcome.NOT_RUN if lacking is None else Outcome.LEFT_OUT
            fault = "missing tool" if lacking is None else "processor"
            message = lacking or missing or ""
            return Verdict(
                self.name, target.stage, outcome, message, fault=fault, target=target.name
            )
        settings = RunSettings() if settings is None else settings
        return self._timed(
            target.stage, target.name, lambda: judge_c(self, target, only_case, settings)
        )

    def _timed(self, stage: str, target: str, work: Callable[[], Verdict]) -> Verdict:
        start = time.monotonic()
        try:
            verdict = work()
        except self.FAULTS as error:
            verdict = self.fail(stage, str(error), fault=type(error).__name__, target=target)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            text = f"no space left on the disk: {error.filename or error}"
            verdict = self.fail(stage, text, fault="disk full", target=target)
        return replace(verdict, seconds=time.monotonic() - start)

    def fail(
        self, stage: str, message: str, *, fault: str, layer: str = "", target: str = ""
    ) -> Verdict:
        """A verdict of failure, which says how to see it again."""
        text = f"{message}\nto repeat it: {self.again(target)}"
        return Verdict(self.name, stage, Outcome.FAIL, text, fault, layer, target=target)

    def succeed(self, stage: str, message: str = "", *, target: str = "") -> Verdict:
        """A verdict of success."""
        return Verdict(self.name, stage, Outcome.PASS, message, target=target)

    def place(self, layer: str, op_type: str) -> str:
        """A layer as messages name it; of a stage also the composite that it is part of."""
        for composite in self.graph.composites:
            if layer in composite.members:
                return f"layer {composite.name} ({composite.op_type}), stage {layer} ({op_type})"
        return f"layer {layer} ({op_type})"

    # Stage `reference`.

    def judge_reference(self) -> Verdict:
        """Whether the integer reference computes the golden."""
        self.check_golden()
        for number, case in enumerate(self.golden.cases):
            for line in case.layers:
                found = self.references[number][line.name]
                if tensor_digest(found) == line.digest:
                    continue
                detail = self._difference(case, line.name, found)
                return self.fail(
                    REFERENCE.name,
                    f"{self.name}: case {case.name}: {self.place(line.layer, line.op_type)}: "
                    f"the reference differs from the golden\n{detail}\n"
                    + self.whose_fault(number, line.name),
                    fault="difference",
                    layer=line.layer,
                )
        return self.succeed(REFERENCE.name)

    def _difference(self, case: GoldenCase, name: str, found: Array) -> str:
        golden = case.arrays.get(name)
        if golden is None:
            return f"tensor {name}: its digest differs (it is not stored whole in this case)"
        difference = first_difference(name, golden, found)
        return "\n".join(difference.lines()) if difference else f"tensor {name}: digest differs"

    def reference_agrees(self, case: int, name: str) -> bool:
        """Whether the reference makes the golden's integers."""
        digests = {line.name: line.digest for line in self.golden.cases[case].layers}
        return tensor_digest(self.references[case][name]) == digests[name]
