"""Instructions that a program of the bench executes on this machine, counted by valgrind where that is installed.

Valgrind runs the program on a processor of its own making, which has fewer vector instructions than a recent one: the
count is that of the kernels that the program chooses there.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ares.ir import Binary, Project
from ares.toolchain.bench import Round
from ares.toolchain.process import run_process
from ares.toolchain.run import case_bytes
from ares.toolchain.target import Target

_TIMEOUT = 900.0
_READING = "ares_counter_read"
_TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)
_OUT = "out"


def count_instructions(
    binary: Binary, project: Project, target: Target, inputs: Sequence[npt.NDArray[Any]]
) -> Round | str:
    """The counts of one round, or why there are none."""
    if shutil.which("valgrind") is None:
        return "valgrind is not installed"
    if "-fsanitize" in " ".join(target.flags):
        return "valgrind does not run what sanitizers watch"
    command = (
        *("valgrind", "--tool=callgrind", f"--callgrind-out-file={_OUT}"),
        *(f"--dump-before={_READING}", "--compress-strings=no"),
        *(str(binary.path), "input", "output", "1x1"),
    )
    with tempfile.TemporaryDirectory(prefix="ares-bench-") as name:
        folder = Path(name)
        (folder / "input").write_bytes(case_bytes(project, inputs))
        finished = run_process(command, folder=folder, timeout=_TIMEOUT)
        if finished.code != 0:
            lines = [line for line in finished.stderr.splitlines() if "==" in line]
            how = "did not end" if finished.code is None else f"ended with {finished.code}"
            return f"valgrind {how}{f': {lines[-1]}' if lines else ''}"
        parts = [_total(folder / f"{_OUT}.{number}") for number in range(1, _readings(project) + 1)]
    if None in parts:
        return "valgrind does not see the readings of the counter (stripped, or inlined)"
    return _round([part for part in parts if part is not None], len(project.points))


def _readings(project: Project) -> int:
    """How often one round reads the counter: around the plain run, to see what observing costs, around every point."""
    return 2 + 4 + 2 + 2 * len(project.points)


def _total(path: Path) -> int | None:
    """What was executed since the dump before."""
    found = _TOTAL.search(path.read_text(encoding="utf-8")) if path.is_file() else None
    return None if found is None else int(found[1])


def _round(parts: Sequence[int], points: int) -> Round:
    """Dump k holds what came before reading k: the second the plain run, the fifth what observing costs."""
    plain, empty = parts[1], parts[4]
    layers = [max(0, parts[7 + 2 * k] - empty) for k in range(points)]
    return Round(plain, tuple(layers), parts[7 + 2 * points])
