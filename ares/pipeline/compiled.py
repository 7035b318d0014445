"""The compiled C of a subject on a target: built, run on every case of the golden, compared layer by layer, exactly.

In order of execution. On a target with trace "full" the run hands over all tensors, and (but for sanitizers) a second
run without observer must put out the same; with trace "digests" it shows a digest a layer, and the first layer that is
wrong is asked for whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ares.golden.store import tensor_digest
from ares.ir import Binary, Port, Project, Trace, TracePoint, trace_digest
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
from ares.toolchain.library import Ran
from ares.toolchain.run import DEFAULT_TIMEOUT
from ares.verdict import Outcome, Verdict, first_difference

if TYPE_CHECKING:
    from ares.pipeline.subject import Subject

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """`timeout`: seconds that one run of a program may take. `since`: programs that were built before this are built
    again (seconds of the epoch). `tell` is told in a sentence about every step of a build that takes time.
    """

    timeout: float = DEFAULT_TIMEOUT
    since: float = 0.0
    tell: Callable[[str], None] | None = None


def judge_c(
    subject: Subject, target: Target, only_case: int | None, settings: RunSettings
) -> Verdict:
    """The verdict of the C on a target, over all cases or over one (modulo their number)."""
    subject.check_golden()
    project = subject.project_for(target)
    numbers = range(len(subject.golden.cases))
    if only_case is not None:
        numbers = numbers[only_case % len(numbers) :][:1]
    make = partial(build, project, target, progress=settings.tell, since=settings.since)
    return judge_program(subject, target, project, numbers, settings, make)


def judge_program(
    subject: Subject,
    target: Target,
    project: Project,
    numbers: Sequence[int],
    settings: RunSettings,
    make: Callable[[], Binary],
) -> Verdict:
    """The verdict of the program that `make` builds of a subject's project, over the cases of these numbers."""
    judge = _Judge(subject, target, settings)
    try:
        return judge.run(project, make(), numbers)
    except TooLarge as error:
        return replace(judge.succeed(str(error)), outcome=Outcome.LEFT_OUT, fault="too large")
    except (BuildFailure, RunFailure) as error:
        return judge.fail(str(error), fault=error.kind)
    except ToolchainError as error:
        # A tool that was there when the stage began can be gone by now.
        gone = target.missing() is not None
        return judge.fail(str(error), fault="missing tool" if gone else "toolchain")


def judge_ran(subject: Subject, target: Target, ran: Ran) -> Verdict:
    """The verdict of what `run_batch` has shown of a subject's project, on all cases of its golden in their order."""
    subject.check_golden()
    judge = _Judge(subject, target, RunSettings())
    if ran.refused is not None:
        return judge.fail(str(ran.refused), fault=ran.refused.kind)
    return judge.shown(subject.project_for(target), ran)


def output_digest(port: Port, array: Array) -> str:
    """What a run shows for an output, which lies in PyTorch's order."""
    return trace_digest(port.to_bytes(array))


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """One subject on one target."""

    subject: Subject
    target: Target
    settings: RunSettings

    def where(self, number: int, point: TracePoint | None = None) -> str:
        case = self.subject.golden.cases[number].name
        place = "" if point is None else f"{self.subject.place(point.layer, point.op_type)}: "
        return f"{self.subject.name}: {self.target.stage}: case {case}: {place}"

    def succeed(self, message: str) -> Verdict:
        return self.subject.succeed(self.target.stage, message, target=self.target.name)

    def fail(self, message: str, *, fault: str, layer: str = "") -> Verdict:
        return self.subject.fail(
            self.target.stage, message, fault=fault, layer=layer, target=self.target.name
        )

    def run(self, project: Project, binary: Binary, numbers: Sequence[int]) -> Verdict:
        """Run the cases of these numbers and compare; where the target hands over all, also without an observer."""
        target, timeout = self.target, self.settings.timeout
        cases = [self.subject.golden.cases[number].inputs for number in numbers]
        start = partial(run, binary, project, cases, timeout=timeout, target=target)
        traces = start(mode=target.trace)

        def whole(case: int, point: int) -> Array:
            """A tensor that the run has handed over, or is now asked for."""
            if target.trace == "full":
                return traces[case].tensors[project.points[point].tensor]
            return dump(binary, project, cases, case, point, timeout=timeout, target=target)

        for position, trace in enumerate(traces):
            ask = partial(whole, position)
            verdict = self._compare(project, numbers[position], trace, ask)
            if verdict is not None:
                return verdict
        if target.trace == "full" and not target.guarded:  # sanitizers say nothing new here, slowly
            disturbed = _disturbed(project, traces, start(mode="outputs"))
            if disturbed is not None:
                number, report = disturbed
                return self.fail(f"{self.where(numbers[number])}{report}", fault="observer")
        return replace(
            self.succeed(_extent(traces, project, self.subject.golden.cases[numbers[0]].name)),
            stack=traces[0].stack,
        )

    def shown(self, project: Project, ran: Ran) -> Verdict:
        """Compare what was run elsewhere, whole tensors: case by case, to the first that failed or differs."""
        for number, trace in enumerate(ran.traces):
            if isinstance(trace, RunFailure):
                return self.fail(f"{self.where(number)}{trace}", fault=trace.kind)

            def whole(point: int, shown: Trace = trace) -> Array:
                return shown.tensors[project.points[point].tensor]

            verdict = self._compare(project, number, trace, whole)
            if verdict is not None:
                return verdict
        for number, trace in enumerate(ran.unobserved):
            if isinstance(trace, RunFailure):
                return self.fail(f"{self.where(number)}unobserved: {trace}", fault=trace.kind)
        if ran.unobserved:
            disturbed = _disturbed(project, _traces(ran.traces), _traces(ran.unobserved))
            if disturbed is not None:
                number, report = disturbed
                return self.fail(f"{self.where(number)}{report}", fault="observer")
        first = self.subject.golden.cases[0].name
        return self.succeed(_extent(_traces(ran.traces), project, first))

    def _compare(
        self,
        project: Project,
        number: int,
        trace: Trace,
        whole: Callable[[int], Array],
    ) -> Verdict | None:
        """The first difference in order of execution, None when every layer is equal."""
        shows = self.subject.shows[number]
        digests = {line.name: line.digest for line in self.subject.golden.cases[number].layers}
        right: dict[str, Array] = {}  # asked for whole, and equal
        for position, point in enumerate(project.points):
            if trace.digests[point.tensor] == shows.tensors[point.tensor]:
                continue
            found = whole(position)
            if tensor_digest(found) != digests[point.tensor]:
                return self._differs(number, point, found)
            if trace_digest(point.to_memory(found)) != trace.digests[point.tensor]:
                return self._unstable(number, point)
            right[point.tensor] = found
        by_name = {point.tensor: point for point in project.points}
        triples = zip(
            self.subject.graph.outputs, project.outputs, trace.output_digests, strict=True
        )
        for index, (name, port, shown) in enumerate(triples):
            known = shows.outputs[index]
            want = known if known is not None else output_digest(port, right[name])
            if shown != want:
                point = by_name[name]
                return self.fail(
                    f"{self.where(number, point)}tensor {name} is right, but not what the network puts out: "
                    "fault in executor or plan",
                    fault="difference",
                    layer=point.layer,
                )
        return None

    def _unstable(self, number: int, point: TracePoint) -> Verdict:
        return self.fail(
            f"{self.where(number, point)}tensor {point.tensor} is right when it is asked for whole, "
            "and another one in the run that showed its digest: it depends on who observes, or on chance",
            fault="observer",
            layer=point.layer,
        )

    def _differs(self, number: int, point: TracePoint, found: Array) -> Verdict:
        expected = self.subject.expected(number)[point.tensor]
        difference = first_difference(point.tensor, expected, found)
        fault = "difference"
        if difference is None:
            detail = "its digest differs from the golden's"
        elif found.itemsize > 1 and np.array_equal(found.byteswap(), expected):
            fault = "byte order"
            detail = f"every element has its {found.itemsize} bytes in the opposite order"
        else:
            detail = "\n".join(difference.lines())
        judged = self.subject.whose_fault(number, point.tensor, c_agrees=False)
        return self.fail(
            f"{self.where(number, point)}tensor {point.tensor} differs from the golden\n{detail}\n{judged}",
            fault=fault,
            layer=point.layer,
        )


def _traces(ends: Sequence[Trace | RunFailure]) -> Sequence[Trace]:
    """Those that did not fail."""
    return [end for end in ends if isinstance(end, Trace)]


def _extent(traces: Sequence[Trace], project: Project, first: str) -> str:
    cases = f"{len(traces)} cases" if len(traces) > 1 else f"case {first}"
    folded = f", {len(project.folded)} folded into others" if project.folded else ""
    return f"{cases}, {len(project.points)} layers each{folded}"


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
