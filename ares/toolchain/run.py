"""`run`: start a built program on cases, and read what it shows; anything unexpected is a `RunFailure`.

The protocol is described in docs/trace-protocol.md. Nothing is taken on trust: the signature, every line in its
order, every byte of the output file and every digest must be what the Project announces.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ares.ir import Binary, Port, Project, Trace, trace_digest
from ares.toolchain.build import signature_of
from ares.toolchain.faults import RunFailure, ToolchainError
from ares.toolchain.process import Finished, run_process
from ares.toolchain.table import TARGETS
from ares.toolchain.targets import Target
from ares.toolchain.transcript import check_transcript, expected_lines, last_event

Mode = Literal["full", "outputs"]

# Exit codes of runtime/trace/trace.c.
EXIT_CODES = {
    2: "it did not understand its command line",
    3: "its floating point is not what clause N9 needs",
    4: "it could not read its input",
    5: "it could not write its output",
    6: "a kernel refused its input",
}
EXIT_PROBE = 3
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

    A case holds one array per input of the project, in PyTorch's order. In mode "outputs" no layers are shown, and
    `Trace.tensors` is empty. `target` is needed only for a binary whose target is not in the table.
    Raises RunFailure for every fault of the program, ToolchainError for cases that do not fit.
    """
    names = [point.tensor for point in project.points]
    if len(set(names)) != len(names):
        raise ToolchainError(f"{project.name}: two observed tensors have the same name")
    target = _target_of(binary) if target is None else target
    data = b"".join(_case_bytes(project, number, case) for number, case in enumerate(cases))
    if not data:
        raise ToolchainError(f"{project.name}: nothing to run, there is no case")
    if signature_of(project, target) != binary.signature:
        raise RunFailure(
            "signature", target.name, f"the program is not a build of this {project.name}"
        )
    with tempfile.TemporaryDirectory(prefix="ares-run-") as name:
        folder = Path(name)
        (folder / "input").write_bytes(data)
        finished = _start(binary, target, mode, folder, timeout)
        lines = expected_lines(binary.signature, project, len(cases), mode)
        _check_end(finished, target, lines, timeout)
        digests = check_transcript(target.name, lines, finished.stdout)
        output = folder / "output"
        shown = output.read_bytes() if output.is_file() else b""
    return tuple(_traces(target.name, project, len(cases), mode, shown, digests))


def _target_of(binary: Binary) -> Target:
    for target in TARGETS:
        if target.name == binary.target:
            return target
    raise ToolchainError(f"{binary.target} is not in the table of targets: hand over the Target")


def _case_bytes(project: Project, number: int, case: Sequence[npt.NDArray[Any]]) -> bytes:
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
    return converted.astype(port.dtype.numpy.newbyteorder("<")).tobytes()


def _start(binary: Binary, target: Target, mode: Mode, folder: Path, timeout: float) -> Finished:
    command = target.machine.command(binary.path, ("input", "output", mode))
    if not binary.path.is_file():
        raise RunFailure("missing tool", target.name, f"there is no program at {binary.path}")
    try:
        return run_process(
            command, folder=folder, timeout=timeout, environment=dict(target.run_environment)
        )
    except OSError as error:
        raise RunFailure(
            "missing tool",
            target.name,
            f"cannot start {command[0]}: {error.strerror} ({target.install})",
        ) from error


def _check_end(finished: Finished, target: Target, lines: Sequence[str], timeout: float) -> None:
    """Raise for a program that did not end by itself with exit code 0."""
    if finished.code is None:
        raise RunFailure(
            "timeout",
            target.name,
            f"ended after {timeout:g} s, {last_event(lines, finished.stdout)}",
            finished.stderr,
        )
    shown = finished.stdout.splitlines()
    if shown and shown[0] != lines[0] and shown[0].startswith("ares-trace 1 "):
        raise RunFailure(
            "signature",
            target.name,
            f"the program is another one: it says {shown[0]!r}, expected {lines[0]!r}",
        )
    if finished.code == EXIT_PROBE and shown[1:2] and shown[1].startswith("probe failed "):
        fault = shown[1].removeprefix("probe failed ")
        raise RunFailure(
            "probe", target.name, f"floating point is not what clause N9 needs: {fault}"
        )
    if finished.code != 0:
        raise RunFailure(
            "crash",
            target.name,
            f"{_how(finished.code)}, {last_event(lines, finished.stdout)}",
            finished.stderr,
        )


def _how(code: int) -> str:
    if code < 0:
        known = {int(number): number.name for number in signal.Signals}
        return f"ended by {known.get(-code, f'signal {-code}')}"
    return f"exit code {code}" + (f": {EXIT_CODES[code]}" if code in EXIT_CODES else "")


def _traces(
    target: str, project: Project, cases: int, mode: Mode, data: bytes, digests: Iterator[str]
) -> Iterator[Trace]:
    """Cut the output file into tensors, each checked against the digest that was shown for it."""
    points = project.points if mode == "full" else ()
    size = sum(point.nbytes for point in points) + sum(port.nbytes for port in project.outputs)
    if len(data) != size * cases:
        raise RunFailure(
            "truncated" if len(data) < size * cases else "malformed",
            target,
            f"{len(data)} bytes of tensors, expected {cases} x {size}",
        )
    position = 0

    def take(number: int, what: str, nbytes: int) -> tuple[bytes, str]:
        nonlocal position
        piece, shown = data[position : position + nbytes], next(digests)
        position += nbytes
        if trace_digest(piece) != shown:
            raise RunFailure(
                "digest",
                target,
                f"case {number}, {what}: digest {shown}, its bytes have {trace_digest(piece)}",
            )
        return piece, shown

    for number in range(cases):
        tensors: dict[str, npt.NDArray[Any]] = {}
        shown: dict[str, str] = {}
        outputs: list[npt.NDArray[Any]] = []
        for point in points:
            piece, shown[point.tensor] = take(number, f"tensor {point.tensor}", point.nbytes)
            tensors[point.tensor] = point.to_logical(piece)
        for port in project.outputs:
            piece, _ = take(number, f"output {port.name}", port.nbytes)
            array = np.frombuffer(piece, port.dtype.numpy.newbyteorder("<"), prod(port.shape))
            outputs.append(array.reshape(port.shape).astype(port.dtype.numpy))
        yield Trace(tensors=tensors, digests=shown, outputs=tuple(outputs))
