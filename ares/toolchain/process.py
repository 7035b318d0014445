"""One child process, in a session of its own, that cannot outlive its timeout.

A timeout that ends only the direct child leaves its children running (a hung emulator under a shell), so
the whole process group is ended: at the timeout, and when the caller is interrupted. Output goes to files and not
through pipes: a grandchild that holds a pipe open cannot block the reader.
"""

from __future__ import annotations

import os
import select
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
            code = _wait(child, timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if child.returncode is None:
                # Not reaped yet, so that its id, which is the group's, still belongs to it.
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        return Finished(code, _text(stdout), _text(stderr))


def _wait(child: subprocess.Popen[bytes], timeout: float) -> int:
    """The exit code; raises TimeoutExpired.

    `Popen.wait` with a timeout looks at intervals of up to 50 ms, which is as long as most compilations take; a file
    descriptor of the process, where the system has such, tells at once.
    """
    try:
        descriptor = os.pidfd_open(child.pid)
    except (AttributeError, OSError):  # another system, or one that forbids it
        return child.wait(timeout)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(1000.0 * timeout):
            raise subprocess.TimeoutExpired(child.args, timeout)
    finally:
        os.close(descriptor)
    return child.wait()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="backslashreplace")
