"""`run` and `dump`: start a built program on cases, and read what it shows; anything unexpected is a `RunFailure`.

The protocol is described in docs/trace-protocol.md. Nothing is taken on trust: the signature, every line in its
order, every byte of the output file and every digest must be what the Project announces.
"""

from __future__ import annotations

import errno
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ares.ir import Binary, Port, Project, Trace, trace_digest
from ares.toolchain.build import recipe_of
from ares.toolchain.faults import RunFailure, ToolchainError
from ares.toolchain.process import FROM_OUTSIDE, Finished, run_process
from ares.toolchain.target import Target
from ares.toolchain.targets import TARGETS
from ares.toolchain.trace_protocol import (
    BYTE_ORDER,
    BYTES,
    DIGEST,
    INSTRUCTION_SET,
    PROBE_FAILED,
    PROTOCOL,
    Line,
    Reading,
    layer_line,
    lines_of_run,
    output_line,
    read,
)

Mode = Literal["full", "digests", "outputs"]

# Exit codes of runtime/trace/trace.c and of runtime/boards.
EXIT_CODES = {
    2: "it did not understand its command line",
    3: "its floating point is not what clause N9 needs",
    4: "it could not read its input",
    5: "it could not write its output",
    6: "the run was refused: an input, or the arena",
    7: "no space was left for its output",
    98: "it needs more stack than its board gives it",
    99: "a fault of the processor",
}
EXIT_PROBE = 3
EXIT_OUTPUT = 5
EXIT_FULL = 7
# How sanitizers begin their reports; the last is the one of zig's undefined-behaviour traps.
_SANITIZER = re.compile(
    r"(ERROR: (?:Address|Leak)Sanitizer|WARNING: (?:Memory|Thread)Sanitizer|runtime error: |"
    r"^thread \d+ panic: ).*",
    re.MULTILINE,
)
# With less left than this, an output that could not be written is laid on the disk.
_LITTLE_SPACE = 64 * 1024
# qemu-system ends with exit code 0 when it is told to stop.
_EMULATOR_TOLD_TO_STOP = re.compile(r"terminating on signal \d+")
DEFAULT_TIMEOUT = 300.0


def run(
    binary: Binary,
    project: Project,
    cases: Sequence[Sequence[npt.NDArray[Any]]],
    *,
    mode: Mode = "full",
    timeout: float = DEFAULT_TIMEOUT,
    target: Target | None = None,
) -> tuple[Trace, ...]:
    """One Trace per case, all from one process.

    A case holds one array per input of the project, in PyTorch's order. Mode "full" fills every field of the Trace;
    "digests" leaves `tensors` and `outputs` empty; "outputs" runs unobserved and leaves `tensors` and `digests` empty.
    `target` is needed only for a binary whose target is not in the table.
    Raises RunFailure for every fault of the program, ToolchainError for cases that do not fit.
    """
    target = _target_of(binary) if target is None else target
    data = _checked(binary, project, cases, target)
    lines = due_lines(project, target, binary.recipe.signature, len(cases), mode)
    reading, output = _start(binary, target, mode, data, lines, timeout)
    return tuple(traces_of(target.name, project, len(cases), mode, reading, output))


def due_lines(
    project: Project, target: Target, signature: str, cases: int, mode: Mode
) -> tuple[Line, ...]:
    """Every line of a good run of so many cases."""
    points = () if mode == "outputs" else project.points
    layers = [layer_line(point.layer_index, point.layer, point.tensor) for point in points]
    shown = [*layers, *map(output_line, range(len(project.outputs)))]
    numbered = dict.fromkeys(range(cases), shown)
    return lines_of_run(signature, numbered, target.machine, target.must_run)


def dump(
    binary: Binary,
    project: Project,
    cases: Sequence[Sequence[npt.NDArray[Any]]],
    case: int,
    point: int,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    target: Target | None = None,
) -> npt.NDArray[Any]:
    """The tensor `project.points[point]` as a run on `cases[case]` makes it, in PyTorch's order of elements.

    What comes before is computed as in mode "full", so the tensor is the one whose digest mode "digests" showed; the
    run ends with it. Raises as `run` does.
    """
    target = _target_of(binary) if target is None else target
    if not (0 <= case < len(cases) and 0 <= point < len(project.points)):
        raise ToolchainError(
            f"{project.name}: there is no tensor {point} of case {case}: "
            f"{len(project.points)} tensors, {len(cases)} cases"
        )
    data = _checked(binary, project, cases, target)
    wanted = project.points[point]
    shown = {case: [layer_line(wanted.layer_index, wanted.layer, wanted.tensor)]}
    lines = lines_of_run(binary.recipe.signature, shown, target.machine, target.must_run)
    reading, output = _start(binary, target, f"dump:{case}:{point}", data, lines, timeout)
    pieces = _Pieces(target.name, output, reading.values(DIGEST), wanted.nbytes)
    return wanted.to_logical(pieces.take(f"case {case}, tensor {wanted.tensor}", wanted.nbytes)[0])


def _checked(
    binary: Binary, project: Project, cases: Sequence[Sequence[npt.NDArray[Any]]], target: Target
) -> bytes:
    """The content of INPUT, once all is known to fit together."""
    names = [point.tensor for point in project.points]
    if len(set(names)) != len(names):
        raise ToolchainError(f"{project.name}: two observed tensors have the same name")
    data = b"".join(case_bytes(project, case, number) for number, case in enumerate(cases))
    if not data:
        raise ToolchainError(f"{project.name}: nothing to run, there is no case")
    if recipe_of(project, target).signature != binary.recipe.signature:
        raise RunFailure(
            "signature", target.name, f"the program is not a build of this {project.name}"
        )
    return data


def _target_of(binary: Binary) -> Target:
    for target in TARGETS:
        if target.name == binary.recipe.target:
            return target
    raise ToolchainError(
        f"{binary.recipe.target} is not in the table of targets: hand over the Target"
    )


def case_bytes(project: Project, case: Sequence[npt.NDArray[Any]], number: int = 0) -> bytes:
    """What a program reads of a case; raises ToolchainError where it does not fit."""
    if len(case) != len(project.inputs):
        raise ToolchainError(
            f"{project.name}, case {number}: {len(case)} arrays for {len(project.inputs)} inputs"
        )
    pairs = zip(project.inputs, case, strict=True)
    return b"".join(
        _input_bytes(f"{project.name}, case {number}, input {port.name}", port, np.asarray(array))
        for port, array in pairs
    )


def _input_bytes(what: str, port: Port, array: npt.NDArray[Any]) -> bytes:
    """The bytes of an array as the port's type; raises where a value would change."""
    if array.shape != port.shape:
        raise ToolchainError(f"{what}: shape {array.shape}, expected {port.shape}")
    if array.dtype.kind not in ("iu" if port.dtype.is_integer else "f"):
        raise ToolchainError(f"{what}: {array.dtype} values, expected {port.dtype.value}")
    with np.errstate(over="ignore"):
        converted = array.astype(port.dtype.numpy)
    if not np.array_equal(converted, array, equal_nan=True):
        raise ToolchainError(f"{what}: holds values that {port.dtype.value} cannot hold exactly")
    return port.to_bytes(converted)


def _start(
    binary: Binary, target: Target, mode: str, data: bytes, lines: Sequence[Line], timeout: float
) -> tuple[Reading, bytes]:
    """One process: what it printed, checked, and the content of OUTPUT."""
    if not binary.path.is_file():
        raise RunFailure("missing tool", target.name, f"there is no program at {binary.path}")
    command = target.machine.command(binary.path, ("input", "output", mode))
    with _space(target), tempfile.TemporaryDirectory(prefix="ares-run-") as name:
        folder = Path(name)
        (folder / "input").write_bytes(data)
        try:
            finished = run_process(
                command, folder=folder, timeout=timeout, environment=dict(target.run_environment)
            )
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            raise RunFailure(
                "missing tool",
                target.name,
                f"cannot start {command[0]}: {error.strerror}"
                + (f" ({target.install})" if target.install else ""),
            ) from error
        full = finished.code == EXIT_FULL or (
            finished.code == EXIT_OUTPUT and shutil.disk_usage(folder).free < _LITTLE_SPACE
        )
        reading = read_run(finished, target, lines, timeout, full=full)
        output = folder / "output"
        return reading, output.read_bytes() if output.is_file() else b""


def read_run(
    finished: Finished, target: Target, lines: Sequence[Line], timeout: float, *, full: bool = False
) -> Reading:
    """What a program printed, all of it as it was due. Raises RunFailure for anything else.

    `timeout` is what it had, `full`: whether it ended because no space was left.
    """
    shown, rest = _whole_lines(finished.stdout)
    reading = read(shown, lines)
    _check_end(finished, target, lines, reading.place, timeout, full)
    _check_lines(target.name, shown, rest, lines, reading)
    return reading


@contextmanager
def _space(target: Target) -> Iterator[None]:
    """Give a full disk on our own side its name."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        where = error.filename or tempfile.gettempdir()
        raise RunFailure(
            "disk full", target.name, f"no space left to run the program: {where}"
        ) from error


def _whole_lines(text: str) -> tuple[list[str], str]:
    """Lines that have their newline, and what stands behind them."""
    *lines, rest = text.split("\n")
    return lines, rest


def _check_lines(
    target: str, shown: Sequence[str], rest: str, lines: Sequence[Line], reading: Reading
) -> None:
    """Raise for the first line that is not as expected."""
    if rest:
        raise RunFailure("truncated", target, f"the last line is not whole: {rest!r}")
    count, due = len(reading.lines), reading.due
    if due is not None and count < len(shown):
        words = f"line {count + 1} is {shown[count]!r}, expected {str(due)!r}"
        raise RunFailure("malformed", target, words)
    if due is not None:
        words = f"{count} lines of {len(lines)}, {reading.place}"
        raise RunFailure("truncated", target, words)
    if count < len(shown):
        raise RunFailure("malformed", target, f"{shown[count]!r} after the end")


def _check_end(
    finished: Finished, target: Target, lines: Sequence[Line], due: str, timeout: float, full: bool
) -> None:
    """Raise for a program that is another one, that something was reported of, or that did not end well by itself."""
    if finished.code is None:
        raise RunFailure(
            "timeout", target.name, f"ended after {timeout:g} s, {due}", finished.stderr
        )
    shown = finished.stdout.splitlines()
    if shown and lines[0].fit(shown[0]) is None and shown[0].startswith(PROTOCOL):
        raise RunFailure(
            "signature",
            target.name,
            f"the program is another one: it says {shown[0]!r}, expected {str(lines[0])!r}",
        )
    if shown[1:2] and lines[1].fit(shown[1]) is None and shown[1].startswith(BYTE_ORDER):
        raise RunFailure(
            "byte order",
            target.name,
            f"the program sees {shown[1]!r}, its target's machine {target.machine.name} should be "
            f"{target.machine.byte_order}-endian: correct the target's row, or its runner",
        )
    if shown[3:4] and lines[3].fit(shown[3]) is None and shown[3].startswith(INSTRUCTION_SET):
        raise RunFailure(
            "instruction set",
            target.name,
            f"the micro-kernels of {shown[3].removeprefix(INSTRUCTION_SET)!r} ran, "
            f"{target.must_run!r} was to be tried here: nothing was proven of it",
        )
    report = _SANITIZER.search(finished.stderr)
    if report is not None:
        raise RunFailure("sanitizer", target.name, f"{report[0]}, {due}", finished.stderr)
    if finished.code == EXIT_PROBE and shown[2:3] and shown[2].startswith(PROBE_FAILED):
        fault = shown[2].removeprefix(PROBE_FAILED)
        raise RunFailure(
            "probe", target.name, f"floating point is not what clause N9 needs: {fault}"
        )
    if full:
        raise RunFailure("disk full", target.name, f"{_how(finished.code)}, {due}", finished.stderr)
    told = _EMULATOR_TOLD_TO_STOP.search(finished.stderr)
    if told is not None or -finished.code in FROM_OUTSIDE:
        how = told[0] if told is not None else _how(finished.code)
        raise RunFailure(
            "killed", target.name, f"{how}, which was not its own doing, {due}", finished.stderr
        )
    if finished.code != 0:
        raise RunFailure("crash", target.name, f"{_how(finished.code)}, {due}", finished.stderr)


def _how(code: int) -> str:
    if code < 0:
        known = {int(number): number.name for number in signal.Signals}
        return f"ended by {known.get(-code, f'signal {-code}')}"
    return f"exit code {code}" + (f": {EXIT_CODES[code]}" if code in EXIT_CODES else "")


class _Pieces:
    """Cuts OUTPUT into tensors, each checked against the digest that was shown for it."""

    def __init__(self, target: str, data: bytes, digests: Sequence[str], size: int) -> None:
        if len(data) != size:
            raise RunFailure(
                "truncated" if len(data) < size else "malformed",
                target,
                f"{len(data)} bytes of tensors, expected {size}",
            )
        self._target = target
        self._data = data
        self._digests = iter(digests)
        self._position = 0

    def take(self, what: str, nbytes: int) -> tuple[bytes, str]:
        """The bytes of the next tensor, and their digest."""
        piece = self._data[self._position : self._position + nbytes]
        shown = self.digest()
        self._position += nbytes
        if trace_digest(piece) != shown:
            raise RunFailure(
                "digest",
                self._target,
                f"{what}: digest {shown}, its bytes have {trace_digest(piece)}",
            )
        return piece, shown

    def digest(self) -> str:
        """The digest of the next tensor, of which no bytes were written."""
        return next(self._digests)


def traces_of(
    target: str, project: Project, cases: int, mode: Mode, reading: Reading, output: bytes
) -> Iterator[Trace]:
    """The traces of a run, case by case: from the lines that it showed and the content of its OUTPUT."""
    points = () if mode == "outputs" else project.points
    layers = sum(point.nbytes for point in points) if mode == "full" else 0
    outputs = 0 if mode == "digests" else sum(port.nbytes for port in project.outputs)
    pieces = _Pieces(target, output, reading.values(DIGEST), (layers + outputs) * cases)
    stack = next(map(int, reading.values(BYTES)), None)
    for number in range(cases):
        yield _trace(pieces, project, mode, f"case {number}", stack)


def _trace(pieces: _Pieces, project: Project, mode: Mode, where: str, stack: int | None) -> Trace:
    tensors: dict[str, npt.NDArray[Any]] = {}
    digests: dict[str, str] = {}
    outputs: list[npt.NDArray[Any]] = []
    output_digests: list[str] = []
    for point in () if mode == "outputs" else project.points:
        if mode == "digests":
            digests[point.tensor] = pieces.digest()
            continue
        piece, digests[point.tensor] = pieces.take(f"{where}, tensor {point.tensor}", point.nbytes)
        tensors[point.tensor] = point.to_logical(piece)
    for port in project.outputs:
        if mode == "digests":
            output_digests.append(pieces.digest())
            continue
        piece, digest = pieces.take(f"{where}, output {port.name}", port.nbytes)
        output_digests.append(digest)
        outputs.append(port.from_bytes(piece))
    return Trace(tensors, digests, tuple(outputs), tuple(output_digests), stack)
