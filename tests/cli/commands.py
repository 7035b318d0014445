"""`ares` as a process of its own, and compilers to hand it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ARES = (sys.executable, "-P", "-c", "from ares.cli import main; main()")
_PLAIN = {"COLUMNS": "80", "NO_COLOR": "1"}


def ares(
    *words: object, cwd: Path, environment: dict[str, str] | None = None, **how: Any
) -> subprocess.CompletedProcess[str]:
    """What it did; stdout and stderr are read unless `how` says where they go."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    return subprocess.run(
        [*ARES, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **_PLAIN, **(environment or {})},
        text=True,
        errors="surrogateescape",
        check=False,
        timeout=300,
        **how,
    )


def shell(
    script: str, *words: object, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A line of bash in which `"$@"` is the command."""
    words_of: Sequence[str] = [*ARES, *map(str, words)]
    return subprocess.run(
        ["bash", "-c", script, "bash", *words_of],
        cwd=cwd,
        env={**os.environ, **_PLAIN, **(environment or {})},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
        timeout=300,
    )


def need(*commands: str) -> None:
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not on the PATH")


def host() -> str:
    """A compiler of this machine, in words."""
    if shutil.which("gcc"):
        return "gcc -O1"
    return f"{sys.executable} -m ziglang cc -O1"


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path
