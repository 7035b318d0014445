"""One child process, in a session of its own, that cannot outlive its timeout.

A timeout that ends only the direct child leaves its children running (a hung emulator under a shell), so
the whole process group is ended: at the timeout, and when the caller is interrupted. Output goes to files and not
through pipes: a grandchild that holds a pipe open cannot block the reader.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended: exit code, minus the signal, or None at the timeout; and what it wrote."""

    code: int | None
    stdout: str
    stderr: str


def run_process(
    command: Sequence[str],
    *,
    folder: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a command in a folder to its end, or to the timeout in seconds.

    `environment` is added to the caller's own. Raises OSError when the program cannot be started.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        code: int | None
        try:
            code = child.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if child.returncode is None:
                # Not reaped yet, so that its id, which is the group's, still belongs to it.
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        return Finished(code, _text(stdout), _text(stderr))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="backslashreplace")
