"""The programs of the tests that try kernels one by one, run with mutated objects."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ares.mutator.built import BuiltWay, Objects, Unbuilt
from ares.mutator.outcome import first_line
from ares.toolchain import ToolchainError
from ares.toolchain.process import run_process

_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """A program of one file in the checkout, and the words it is started with; those with a slash are paths there.

    It is right where it ends with 0 and, unless `quiet`, a line that begins with `end`.
    """

    source: str
    words: Sequence[str]
    on_boards: bool = False
    quiet: bool = False


CHECKS = (
    Check("tests/numerics/vector_check.c", ("tests/numerics/vectors",), quiet=True),
    Check("tests/runtime/micro_check.c", ("1", "0", "3072")),
    Check("tests/runtime/runs_check.c", ("1", "0", "3000")),
    Check("tests/runtime/rows_check.c", ("1", "0", "3000")),
)


def checks_for(built: BuiltWay, root: Path, work: Path) -> tuple[Check, ...]:
    """The checks that can be built for a way. Raises ToolchainError for one that the unmutated runtime fails."""
    found = []
    for check in CHECKS:
        if built.way.target.machine.board is not None and not check.on_boards:
            continue
        folder = Path(tempfile.mkdtemp(dir=work))
        try:
            fault = run_check(built, root, check, {}, folder)
        except Unbuilt:
            continue  # of x86 alone
        if fault is not None:
            raise ToolchainError(f"{check.source} on {built.way.name}, with no mutant: {fault}")
        found.append(check)
    return tuple(found)


def run_check(
    built: BuiltWay, root: Path, check: Check, objects: Objects, work: Path
) -> str | None:
    """What a check found wrong, in a line; None where all was right. Raises Unbuilt."""
    program = built.check(root / check.source, objects, work)
    words = [str(root / word) if "/" in word else word for word in check.words]
    target = built.way.target
    done = run_process(
        target.machine.command(program, words),
        folder=work,
        timeout=_LIMIT,
        environment=dict(target.run_environment),
    )
    lines = done.stdout.splitlines()
    ended = check.quiet or any(line.startswith("end") for line in lines)
    if done.code == 0 and ended:
        return None
    wrong = [line for line in lines if line.startswith("wrong") or "expected" in line]
    how = "did not end" if done.code is None else f"ended with {done.code}"
    return first_line(wrong[0] if wrong else f"{how} {first_line(done.stderr)}")
