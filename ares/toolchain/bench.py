"""What a program costs on a target: built with `runtime/bench` in place of the tracing program, run, read.

Time where the machine is real (this one, WebAssembly's engine), instructions where an emulator's time goes by the
instruction (boards in QEMU). An emulated processor without a board has neither: how long its emulator takes says
nothing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from ares.ir import Binary, Project
from ares.resources import runtime_dir
from ares.toolchain.boards import family
from ares.toolchain.faults import RunFailure
from ares.toolchain.process import run_process
from ares.toolchain.run import case_bytes
from ares.toolchain.target import Machine, Target

Unit = Literal["ns", "instructions"]

_FOLDER = "runtime/bench"
# What the bench takes the place of, and what only that needs.
_TRACING = ("trace.c", "arena_watch.c", "arena_watch.h")
_PROTOCOL = "ares-bench 1 "
_COUNT = re.compile(r"(plain|empty|layer|rest) ([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Counter:
    """What a machine counts: `source` is the file of runtime/bench, `options` what its emulator must be told.

    One reading more is `step` units more, less than half of one, so that a difference is exact once it is rounded.
    QEMU lets 2**shift nanoseconds pass an instruction, in which the boards' timers tick three or four times.
    """

    source: str
    unit: Unit
    step: Fraction = Fraction(1)
    options: tuple[str, ...] = ()


CLOCK = Counter("counter_clock.c", "ns")
_SHIFT = 7
_CLOCKS = {"mps2-an386": 25_000_000, "mps2-an500": 25_000_000, "mps3-an547": 32_000_000}
"""Hertz of the timers that counter_cortex_m.c reads."""


def counter(machine: Machine) -> Counter | str:
    """What can be counted on a machine, or why nothing can."""
    if machine.board is None:
        if machine.runner and Path(machine.runner[0]).name.startswith("qemu-"):
            return (
                f"{machine.runner[0]} counts no instructions, and its time is not the processor's"
            )
        return CLOCK
    if not Path(machine.runner[0]).name.startswith("qemu-system-"):
        return f"{machine.runner[0]} is not QEMU, which counts instructions"
    if family(machine.board) == "riscv":
        return Counter("counter_riscv.c", "instructions", options=("-icount", "shift=0"))
    nanoseconds = Fraction(10**9, _CLOCKS[machine.board])
    step = nanoseconds / 2**_SHIFT
    return Counter("counter_cortex_m.c", "instructions", step, ("-icount", f"shift={_SHIFT}"))


@dataclass(frozen=True, slots=True)
class Round:
    """Counts of one round: of one inference that nobody observed; of each observed tensor of another one, from the
    tensor before it on, and of what comes after the last. What the observer costs is taken off.
    """

    plain: float
    layers: tuple[int, ...]
    rest: int


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a run of the bench showed. `stack`: bytes, where the machine measures them."""

    rounds: tuple[Round, ...]
    outputs: tuple[npt.NDArray[Any], ...]
    stack: int | None


def bench_project(project: Project, counter: Counter) -> Project:
    """The same network with the bench in place of the tracing program."""
    root = runtime_dir() / "bench"
    kept = {
        path: content
        for path, content in project.files.items()
        if path not in {f"runtime/trace/{name}" for name in _TRACING}
    }
    added = {
        f"{_FOLDER}/{name}": (root / name).read_bytes()
        for name in ("bench.c", "counter.h", counter.source)
    }
    return replace(project, files={**kept, **added})


def measure(
    binary: Binary,
    project: Project,
    target: Target,
    counter: Counter,
    inputs: Sequence[npt.NDArray[Any]],
    *,
    rounds: int,
    runs: int,
    timeout: float,
) -> Measured:
    """Run a bench: `rounds` times `runs` inferences and an observed one. Raises RunFailure for every fault."""
    machine = replace(target.machine, runner=(*target.machine.runner, *counter.options))
    command = machine.command(binary.path, ("input", "output", f"{rounds}x{runs}"))
    with tempfile.TemporaryDirectory(prefix="ares-bench-") as name:
        folder = Path(name)
        (folder / "input").write_bytes(case_bytes(project, inputs))
        try:
            finished = run_process(
                command, folder=folder, timeout=timeout, environment=dict(target.run_environment)
            )
        except OSError as error:
            text = f"cannot start {command[0]}: {error.strerror}"
            raise RunFailure("missing tool", target.name, text) from error
        if finished.code is None:
            raise RunFailure("timeout", target.name, f"ended after {timeout:g} s", finished.stderr)
        if finished.code != 0:
            raise RunFailure("crash", target.name, f"exit code {finished.code}", finished.stderr)
        output = folder / "output"
        content = output.read_bytes() if output.is_file() else b""
    lines = finished.stdout.splitlines()
    reader = _Reader(target.name, lines, binary.recipe.signature, counter.step)
    measured = reader.rounds(rounds, runs, len(project.points))
    return Measured(measured, _outputs(target.name, project, content), reader.end())


class _Reader:
    """The lines of a bench, each in its place."""

    def __init__(self, target: str, lines: Sequence[str], signature: str, step: Fraction) -> None:
        self._target = target
        self._lines = iter(lines)
        self._step = step
        self._take(_PROTOCOL + signature)

    def rounds(self, rounds: int, runs: int, points: int) -> tuple[Round, ...]:
        """The lines of all rounds. What observing costs is the least that any saw: more is of an interruption."""
        empty, found = [], []
        for _ in range(rounds):
            self._take("round")
            plain = self._count("plain")
            empty.append(self._count("empty"))
            layers = [self._count("layer") for _ in range(points)]
            found.append((plain / runs, layers, self._count("rest")))
        observing = min(empty)
        return tuple(
            Round(plain, tuple(max(0, count - observing) for count in layers), rest)
            for plain, layers, rest in found
        )

    def end(self) -> int | None:
        """The stack, where it was measured, and nothing behind it."""
        line = self._next()
        stack = None
        if line.startswith("stack ") and line[6:].isdecimal():
            stack = int(line[6:])
            line = self._next()
        if line != "end" or next(self._lines, None) is not None:
            raise RunFailure("malformed", self._target, f"{line!r} where the end was due")
        return stack

    def _next(self) -> str:
        return next(self._lines, "")

    def _take(self, due: str) -> None:
        line = self._next()
        if line != due:
            raise RunFailure("malformed", self._target, f"{line!r}, expected {due!r}")

    def _count(self, word: str) -> int:
        """A count in units: between two readings of a timer lies less than a tick more or less, half a unit at most."""
        line = self._next()
        found = _COUNT.fullmatch(line)
        if found is None or found[1] != word:
            raise RunFailure("malformed", self._target, f"{line!r}, expected a count of {word}")
        return round(int(found[2], 16) * self._step)


def _outputs(target: str, project: Project, content: bytes) -> tuple[npt.NDArray[Any], ...]:
    if len(content) != sum(port.nbytes for port in project.outputs):
        raise RunFailure("truncated", target, f"{len(content)} bytes of outputs")
    arrays, position = [], 0
    for port in project.outputs:
        arrays.append(port.from_bytes(content[position : position + port.nbytes]))
        position += port.nbytes
    return tuple(arrays)
