"""A subject on a target: built, run, its cost by layer. A program whose outputs are wrong has no cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy.typing as npt

from ares.bench.record import BenchError, Cost, LayerCost, Spread
from ares.emit import emit
from ares.ir import Binary, Project
from ares.ops import KernelOperation
from ares.pipeline.subject import Subject
from ares.plan import plan, site_of
from ares.toolchain import Machine, Target, build
from ares.toolchain.bench import CLOCK, Counter, Measured, Round, bench_project, counter, measure
from ares.toolchain.callgrind import count_instructions
from ares.toolchain.sizes import sizes

_TIMEOUT = 1800.0
# A round of plain runs is at least this long: a clock of 30 ns is then exact to a hundred thousandth.
_ROUND_NS = 2e6
_MOST_RUNS = 10_000
_ROUNDS = (7, 400)
# An inference that valgrind needs half a minute for.
_LONG_NS = 3e8
_HOST = "how long an emulator takes says nothing of a board"


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A subject, built with the bench for a target."""

    subject: Subject
    target: Target
    project: Project
    binary: Binary
    counter: Counter | str
    arena: int
    arena_bound: int

    @property
    def inputs(self) -> Sequence[npt.NDArray[Any]]:
        """Those of the golden's first case, the realistic one."""
        return self.subject.golden.cases[0].inputs

    def run(self, rounds: int, runs: int) -> Measured:
        """So many rounds; raises BenchError where the outputs are not the golden's."""
        assert isinstance(self.counter, Counter)
        measured = measure(
            self.binary,
            self.project,
            self.target,
            self.counter,
            self.inputs,
            rounds=rounds,
            runs=runs,
            timeout=_TIMEOUT,
        )
        names = self.subject.graph.outputs
        expected = self.subject.expected(0)
        for name, found in zip(names, measured.outputs, strict=True):
            if found.tobytes() != expected[name].astype(found.dtype).tobytes():
                raise BenchError(
                    f"{self.subject.name} on {self.target.name}: output {name} is not the golden's; "
                    f"{self.subject.again(self.target.name)} says where it begins"
                )
        return measured

    def plan_rounds(self, seconds: float) -> tuple[int, int]:
        """Rounds, and runs in each, that take about so long together. The program has then run three times."""
        once = max(min(found.plain for found in self.run(3, 1).rounds), 1.0)
        runs = min(max(1, math.ceil(_ROUND_NS / once)), _MOST_RUNS)
        rounds = round(seconds * 1e9 / (once * (runs + 1)))
        least, most = _ROUNDS
        return min(max(least, rounds), most), runs


def build_bench(
    subject: Subject, target: Target, tell: Callable[[str], None] | None = None
) -> Bench:
    """Build a subject for a target; raises BuildFailure, ToolchainError, or an error of the subject's FAULTS."""
    subject.check_golden()
    planned = plan(subject.graph)
    counts = counter(target.machine)
    project = bench_project(emit(planned), counts if isinstance(counts, Counter) else CLOCK)
    binary = build(project, target, progress=tell)
    return Bench(subject, target, project, binary, counts, planned.arena_bytes, planned.arena_bound)


def cost_of(bench: Bench, seconds: float) -> Cost:
    """Everything that can be known of it. `seconds`: about how long the host runs it."""
    without: dict[str, str] = {}
    timed: Sequence[Round] = ()
    counted: Round | None = None
    stack = None
    if isinstance(bench.counter, str):
        without |= {"time and instructions": bench.counter}
    elif bench.counter.unit == "ns":
        rounds, runs = bench.plan_rounds(seconds)
        timed = bench.run(rounds + 1, runs).rounds[1:]
        counted = _counted_here(bench, min(each.plain for each in timed), without)
    else:
        without["time"] = _HOST
        measured = bench.run(1, 1)
        counted, stack = measured.rounds[0], measured.stack
    if stack is None:
        without["stack"] = "measured on boards only"
    found = sizes(bench.binary, bench.project, bench.target)
    if isinstance(found, str):
        without["sizes"] = found
    subject, target = bench.subject, bench.target
    return Cost(
        network=subject.name,
        target=target.name,
        processor=target.machine.isa,
        machine=_ran_by(target.machine),
        compiler=_compiled_by(bench),
        macs=subject.macs,
        time=Spread.of([each.plain for each in timed]) if timed else None,
        instructions=None if counted is None else round(counted.plain),
        layers=_layers(bench, timed, counted),
        code=None if isinstance(found, str) else found.code,
        constants=None if isinstance(found, str) else found.constants,
        arena=bench.arena,
        arena_bound=bench.arena_bound,
        stack=stack,
        without=without,
    )


def _ran_by(machine: Machine) -> str:
    """A machine and what runs it, without the options."""
    if not machine.runner:
        return machine.name
    version = machine.identity().removeprefix(f"{machine.name} ")
    return f"{machine.name}, {version.removeprefix(' '.join(machine.runner[1:])).strip()}"


def _compiled_by(bench: Bench) -> str:
    """What the compiler says of itself, without its place; where that names no compiler, with its family."""
    words, family = bench.binary.recipe.compiler.partition(" at ")[0], bench.target.family
    alone = words.removeprefix(f"{family} ")
    return alone if family in alone else words


def _counted_here(bench: Bench, once: float, without: dict[str, str]) -> Round | None:
    """Instructions of the host's own program, where valgrind can tell; `once`: nanoseconds of an inference."""
    if bench.target.machine.runner:
        without["instructions"] = f"{bench.target.machine.name} does not count them"
        return None
    if once > _LONG_NS:
        without["instructions"] = "valgrind would take minutes"
        return None
    found = count_instructions(bench.binary, bench.project, bench.target, bench.inputs)
    if isinstance(found, str):
        without["instructions"] = found
        return None
    return found


def _layers(bench: Bench, timed: Sequence[Round], counted: Round | None) -> tuple[LayerCost, ...]:
    graph = bench.subject.graph
    macs = {
        operation.name: operation.macs(site_of(graph, operation))
        for operation in graph.operations
        if isinstance(operation, KernelOperation)
    }
    rows = []
    points = enumerate(bench.project.points)
    # A layer has a point for each output; the first holds its work.
    for _, group in groupby(points, key=lambda item: item[1].layer_index):
        items = list(group)
        numbers, point = [number for number, _ in items], items[0][1]
        times = [sum(each.layers[k] for k in numbers) for each in timed]
        instructions = None if counted is None else sum(counted.layers[k] for k in numbers)
        rows.append(
            LayerCost(
                point.layer,
                point.op_type,
                macs.get(point.layer, 0),
                Spread.of(times) if times else None,
                None if instructions is None else round(instructions),
            )
        )
    return tuple(rows)
