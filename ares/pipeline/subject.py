"""What a target is judged on: a Graph, its golden, and the C that is made of it. Networks and operations' cases alike.

`target(t)` builds the C for a target, runs every case of the golden and compares every layer, exactly, in order
of execution. On a target with trace "full" the run hands over all tensors, and (but for sanitizers) a second run
without observer must put out the same; with trace "digests" it shows a digest a layer, and the first layer that is
wrong is asked for whole.

Everything is computed when it is first asked for. What an earlier process has found out (`Front`) can be handed in.
"""

from __future__ import annotations

import errno
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ares.emit import emit
from ares.golden import Golden, GoldenCase, GoldenError
from ares.golden.store import tensor_digest
from ares.ir import Binary, Graph, GraphError, Port, Project, Trace, TracePoint, trace_digest
from ares.ops import KernelOperation, run_reference
from ares.plan import PlanError, plan, site_of
from ares.toolchain import (
    BuildFailure,
    RunFailure,
    Target,
    TooLarge,
    ToolchainError,
    build,
    dump,
    run,
)
from ares.toolchain.run import DEFAULT_TIMEOUT
from ares.verdict import Outcome, Verdict, first_difference

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

    STAGES: ClassVar[tuple[str, ...]]
    FAULTS: ClassVar[tuple[type[Exception], ...]] = (GoldenError, GraphError, PlanError)
    """Errors with a line for the user, which are the subject's own."""

    name: str
    timeout: float = DEFAULT_TIMEOUT
    """Seconds that one run of a program may take."""
    since: float = 0.0
    """Programs that were built before this are built again (seconds of the epoch)."""
    tell: Callable[[str], None] | None = None
    """Told in a sentence about every step of a build that takes time."""

    # What the stages share.

    @property
    @abstractmethod
    def graph(self) -> Graph:
        """The network as integers."""

    @property
    @abstractmethod
    def golden(self) -> Golden:
        """The stored integers."""

    @abstractmethod
    def check_golden(self) -> None:
        """Raise unless Graph and golden are of the same subject."""

    @abstractmethod
    def whose_fault(self, case: int, tensor: str, c_agrees: bool | None = None) -> str:
        """A sentence on whose fault a difference in one tensor of one case is."""

    @abstractmethod
    def stages(self) -> Mapping[str, Callable[[], Verdict]]:
        """The stages before the C, by name."""

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
        known = {line.name: line.digest for line in self.golden.cases[number].records}
        # What is not the golden itself cannot say what is right; it is asked for whole, and its digest judged.
        right = {
            point.tensor: trace_digest(point.to_memory(arrays[point.tensor]))
            for point in self.project.points
            if tensor_digest(arrays[point.tensor]) == known[point.tensor]
        }
        tensors = {point.tensor: right.get(point.tensor) for point in self.project.points}
        ports = zip(self.graph.outputs, self.project.outputs, strict=True)
        outputs = [
            _output_digest(port, arrays[name]) if tensors[name] is not None else None
            for name, port in ports
        ]
        return Shows(tensors, tuple(outputs))

    def expected(self, case: int) -> Mapping[str, Array]:
        """Golden arrays: the stored ones, else the reference's (whose digests stage `reference` checks)."""
        return {**self.references[case], **self.golden.cases[case].arrays}

    # Verdicts.

    def stage(self, name: str) -> Verdict:
        """The verdict of a stage of STAGES."""
        return self._timed(name, self.stages()[name])

    def target(self, target: Target, only_case: int | None = None) -> Verdict:
        """The verdict of the compiled C on a target, over all cases or over one (modulo their number)."""
        stage = f"c[{target.name}]"
        missing = target.missing()
        if missing is not None:
            return Verdict(self.name, stage, Outcome.NOT_RUN, missing, fault="missing tool")
        return self._timed(stage, lambda: self._c(stage, target, only_case))

    def reproduce(self, stage: str) -> str:
        """The command that shows this stage again."""
        target = stage.removeprefix("c[").removesuffix("]") if stage.startswith("c[") else ""
        return f"ares networks {self.name}" + (f" --target {target}" if target else "")

    def _timed(self, stage: str, work: Callable[[], Verdict]) -> Verdict:
        start = time.monotonic()
        try:
            verdict = work()
        except self.FAULTS as error:
            verdict = self._fail(stage, str(error), fault=type(error).__name__)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            verdict = self._fail(
                stage, f"no space left on the disk: {error.filename or error}", fault="disk full"
            )
        return replace(verdict, seconds=time.monotonic() - start)

    def _fail(self, stage: str, message: str, *, fault: str, layer: str = "") -> Verdict:
        text = f"{message}\nto repeat it: {self.reproduce(stage)}"
        return Verdict(self.name, stage, Outcome.FAIL, text, fault, layer)

    def _pass(self, stage: str, message: str = "") -> Verdict:
        return Verdict(self.name, stage, Outcome.PASS, message)

    def place(self, layer: str, op_type: str) -> str:
        """A layer as messages name it; of a stage also the composite that it is part of."""
        for composite in self.graph.composites:
            if layer in composite.members:
                return f"layer {composite.name} ({composite.op_type}), stage {layer} ({op_type})"
        return f"layer {layer} ({op_type})"

    # Stage `reference`.

    def _reference(self) -> Verdict:
        self.check_golden()
        for number, case in enumerate(self.golden.cases):
            for line in case.records:
                found = self.references[number][line.name]
                if tensor_digest(found) == line.digest:
                    continue
                detail = self._difference(case, line.name, found)
                return self._fail(
                    "reference",
                    f"{self.name}: case {case.name}: {self.place(line.layer, line.op_type)}: "
                    f"the reference differs from the golden\n{detail}\n"
                    + self.whose_fault(number, line.name),
                    fault="difference",
                    layer=line.layer,
                )
        return self._pass("reference")

    def _difference(self, case: GoldenCase, name: str, found: Array) -> str:
        golden = case.arrays.get(name)
        if golden is None:
            return f"tensor {name}: its digest differs (it is not stored whole in this case)"
        difference = first_difference(name, golden, found)
        return "\n".join(difference.lines()) if difference else f"tensor {name}: digest differs"

    def reference_agrees(self, case: int, name: str) -> bool:
        """Whether the reference makes the golden's integers."""
        digests = {line.name: line.digest for line in self.golden.cases[case].records}
        return tensor_digest(self.references[case][name]) == digests[name]

    # Stage `c[...]`.

    def _c(self, stage: str, target: Target, only_case: int | None) -> Verdict:
        self.check_golden()
        project = self.project_for(target)
        numbers = range(len(self.golden.cases))
        if only_case is not None:
            numbers = numbers[only_case % len(numbers) :][:1]
        try:
            binary = build(project, target, progress=self.tell, since=self.since)
            return self._run(stage, target, project, binary, numbers)
        except TooLarge as error:
            return Verdict(self.name, stage, Outcome.LEFT_OUT, str(error), fault="too large")
        except BuildFailure as error:
            return self._fail(stage, str(error), fault=error.kind)
        except RunFailure as error:
            return self._fail(stage, str(error), fault=error.kind)
        except ToolchainError as error:
            # A tool that was there when the stage began can be gone by now.
            gone = target.missing() is not None
            return self._fail(stage, str(error), fault="missing tool" if gone else "toolchain")

    def _run(
        self, stage: str, target: Target, project: Project, binary: Binary, numbers: Sequence[int]
    ) -> Verdict:
        """Run the cases of these numbers and compare; where the target hands over all, also without an observer."""
        cases = [self.golden.cases[number].inputs for number in numbers]
        start = partial(run, binary, project, cases, timeout=self.timeout, target=target)
        traces = start(mode=target.trace)

        def whole(case: int, point: int) -> Array:
            """A tensor that the run has handed over, or is now asked for."""
            if target.trace == "full":
                return traces[case].tensors[project.points[point].tensor]
            return dump(binary, project, cases, case, point, timeout=self.timeout, target=target)

        for position, trace in enumerate(traces):
            ask = partial(whole, position)
            verdict = self._compare(stage, project, numbers[position], trace, ask)
            if verdict is not None:
                return verdict
        if target.trace == "full" and not target.guarded:  # sanitizers say nothing new here, slowly
            disturbed = _disturbed(project, traces, start(mode="outputs"))
            if disturbed is not None:
                case = self.golden.cases[numbers[disturbed[0]]].name
                text = f"{self.name}: {stage}: case {case}: {disturbed[1]}"
                return self._fail(stage, text, fault="observer")
        return replace(
            self._pass(stage, _extent(traces, project, self.golden.cases[numbers[0]].name)),
            stack=traces[0].stack,
        )

    def _compare(
        self,
        stage: str,
        project: Project,
        number: int,
        trace: Trace,
        whole: Callable[[int], Array],
    ) -> Verdict | None:
        """The first difference in order of execution, None when every layer is equal."""
        shows = self.shows[number]
        digests = {line.name: line.digest for line in self.golden.cases[number].records}
        right: dict[str, Array] = {}  # asked for whole, and equal
        for position, point in enumerate(project.points):
            if trace.digests[point.tensor] == shows.tensors[point.tensor]:
                continue
            found = whole(position)
            if tensor_digest(found) != digests[point.tensor]:
                return self._differs(stage, number, point, found)
            if trace_digest(point.to_memory(found)) != trace.digests[point.tensor]:
                return self._unstable(stage, number, point)
            right[point.tensor] = found
        by_name = {point.tensor: point for point in project.points}
        triples = zip(self.graph.outputs, project.outputs, trace.output_digests, strict=True)
        for index, (name, port, shown) in enumerate(triples):
            known = shows.outputs[index]
            want = known if known is not None else _output_digest(port, right[name])
            if shown != want:
                point = by_name[name]
                return self._fail(
                    stage,
                    f"{self.name}: {stage}: case {self.golden.cases[number].name}: "
                    f"{self.place(point.layer, point.op_type)}: "
                    f"tensor {name} is right, but not what the network puts out: fault in executor or plan",
                    fault="difference",
                    layer=point.layer,
                )
        return None

    def _unstable(self, stage: str, number: int, point: TracePoint) -> Verdict:
        return self._fail(
            stage,
            f"{self.name}: {stage}: case {self.golden.cases[number].name}: "
            f"{self.place(point.layer, point.op_type)}: "
            f"tensor {point.tensor} is right when it is asked for whole, and another one in the run that showed its "
            "digest: it depends on who observes, or on chance",
            fault="observer",
            layer=point.layer,
        )

    def _differs(self, stage: str, number: int, point: TracePoint, found: Array) -> Verdict:
        expected = self.expected(number)[point.tensor]
        difference = first_difference(point.tensor, expected, found)
        fault = "difference"
        if difference is None:
            detail = "its digest differs from the golden's"
        elif found.itemsize > 1 and np.array_equal(found.byteswap(), expected):
            fault = "byte order"
            detail = f"every element has its {found.itemsize} bytes in the opposite order"
        else:
            detail = "\n".join(difference.lines())
        judged = self.whose_fault(number, point.tensor, c_agrees=False)
        return self._fail(
            stage,
            f"{self.name}: {stage}: case {self.golden.cases[number].name}: "
            f"{self.place(point.layer, point.op_type)}: "
            f"tensor {point.tensor} differs from the golden\n{detail}\n{judged}",
            fault=fault,
            layer=point.layer,
        )


def _extent(traces: Sequence[Trace], project: Project, first: str) -> str:
    cases = f"{len(traces)} cases" if len(traces) > 1 else f"case {first}"
    return f"{cases}, {len(project.points)} layers each"


def _output_digest(port: Port, array: Array) -> str:
    """What a run shows for an output, which lies in PyTorch's order."""
    little = np.ascontiguousarray(array).astype(port.dtype.numpy.newbyteorder("<"))
    return trace_digest(little.tobytes())


def _disturbed(
    project: Project, observed: Sequence[Trace], unobserved: Sequence[Trace]
) -> tuple[int, str] | None:
    """Case and report of the first output that depends on whether the run was observed."""
    for number, (with_it, without) in enumerate(zip(observed, unobserved, strict=True)):
        pairs = zip(project.outputs, with_it.outputs, without.outputs, strict=True)
        for port, seen, unseen in pairs:
            difference = first_difference(port.name, seen, unseen)
            if difference is not None:
                lines = "\n".join(difference.lines())
                return number, f"output {port.name} is another one when nobody observes\n{lines}"
    return None
