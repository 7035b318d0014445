"""What can go wrong between a Project and a Trace, each with its own name."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

RunFault = Literal[
    "signature",  # the program was built from something else
    "probe",  # its floating point is not what clause N9 needs
    "crash",  # ended by a signal, a sanitizer or an exit code other than 0
    "timeout",
    "truncated",  # less was shown than the network has
    "malformed",  # something was shown that the protocol does not know
    "digest",  # bytes and digest of a tensor do not belong together
    "missing tool",  # the program, or what runs it, is not there
]


class ToolchainError(ValueError):
    """A call that makes no sense: unknown target, missing compiler, an array of another shape. One line."""


class BuildFailure(Exception):
    """A compiler refused the project, or could not be run.

    `folder` keeps the files as they were; in it, `command` repeats the failure.
    """

    def __init__(self, target: str, command: tuple[str, ...], folder: Path, stderr: str) -> None:
        super().__init__(target, command, folder, stderr)
        self.target = target
        self.command = command
        self.folder = folder
        self.stderr = stderr

    def __str__(self) -> str:
        repeat = f"cd {shlex.quote(str(self.folder))} && {shlex.join(self.command)}"
        return f"{self.target}: the build failed\n{first_lines(self.stderr, 12)}\nto repeat it: {repeat}"


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
