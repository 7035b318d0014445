"""What can go wrong between a Project and a Trace, each with its own name."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

RunFault = Literal[
    "signature",  # the program was built from something else
    "probe",  # its floating point is not what clause N9 needs
    "byte order",  # the program sees another one than its target says
    "instruction set",  # other micro-kernels ran than its target expects
    "sanitizer",  # a sanitizer reported something, whatever the program made of it
    "crash",  # ended by a signal or an exit code other than 0
    "killed",  # ended from outside: out of memory, or by hand
    "disk full",  # no space left for what the program reads or writes
    "timeout",
    "truncated",  # less was shown than the network has
    "malformed",  # something was shown that the protocol does not know
    "digest",  # bytes and digest of a tensor do not belong together
    "missing tool",  # the program, or what runs it, is not there
]


BuildFault = Literal[
    "build",  # the compiler refused the sources
    "compiler crash",  # the compiler itself failed
    "too large",  # for the memory of a board
    "disk full",
    "timeout",
    "missing tool",
]


class ToolchainError(ValueError):
    """A call that makes no sense: unknown target, missing compiler, an array of another shape. One line."""


class BuildFailure(Exception):
    """A compiler refused the project, or could not be run.

    `folder` keeps the files as they were; in it, `command` repeats the failure.
    """

    def __init__(
        self,
        target: str,
        command: tuple[str, ...],
        folder: Path,
        stderr: str,
        kind: BuildFault = "build",
    ) -> None:
        super().__init__(target, command, folder, stderr, kind)
        self.target = target
        self.command = command
        self.folder = folder
        self.stderr = stderr
        self.kind = kind

    def __str__(self) -> str:
        repeat = f"cd {shlex.quote(str(self.folder))} && {shlex.join(self.command)}"
        what = "the build failed" if self.kind == "build" else f"the build failed: {self.kind}"
        return f"{self.target}: {what}\n{first_lines(self.stderr, 12)}\nto repeat it: {repeat}"


class TooLarge(BuildFailure):
    """The program compiled, but a region of its board's memory is too small for it; sizes in bytes."""

    def __init__(
        self,
        target: str,
        command: tuple[str, ...],
        folder: Path,
        stderr: str,
        region: str,
        needed: int,
        available: int,
        board: str,
    ) -> None:
        super().__init__(target, command, folder, stderr, "too large")
        self.args = (target, command, folder, stderr, region, needed, available, board)
        self.region = region
        self.needed = needed
        self.available = available
        self.board = board

    def __str__(self) -> str:
        return (
            f"{self.target}: the program is too large: needs {mebibytes(self.needed)} of {self.region}, "
            f"{self.board} has {mebibytes(self.available)}"
        )


class RunFailure(Exception):
    """A program did not show what it should have. `kind` names the fault, `report` is the program's own words."""

    def __init__(self, kind: RunFault, target: str, message: str, report: str = "") -> None:
        super().__init__(kind, target, message, report)
        self.kind = kind
        self.target = target
        self.message = message
        self.report = report

    def __str__(self) -> str:
        text = f"{self.target}: {self.kind}: {self.message}"
        return f"{text}\n{first_lines(self.report, 12)}" if self.report else text


def first_lines(text: str, count: int) -> str:
    """The first `count` lines, and how many were left out."""
    lines = text.strip().splitlines()
    left_out = len(lines) - count
    more = [f"... ({left_out} more lines)"] if left_out > 0 else []
    return "\n".join([*lines[:count], *more])


def mebibytes(count: int) -> str:
    """Bytes as people read them, never rounded down."""
    hundredths = -(-count * 100 // 2**20)
    return f"{hundredths // 100}.{hundredths % 100:02d} MiB"
