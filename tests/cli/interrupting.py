"""A command of ours in a session of its own, with compilers that never end, to be interrupted."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.toolchain.fake_tools import tool

ROOT = Path(__file__).resolve().parents[2]
ARES = ("-c", "from ares.cli import main; main()")
# Seconds that an interrupted command may take to end. On a machine with other work it gets less done in them.
LIMIT = 2.0 + max(0.0, os.getloadavg()[0] / (os.cpu_count() or 1) - 1.0)
_MARK = "ARES_TEST_RUN"


class Started:
    """A command that runs. What it has started is found by a mark in its environment.

    `compiling` and `running` are there once a compiler, or the program that it made, goes on without an end; it has a
    child of its own, as zig and gcc have. `compiles`: the compiler ends; `versions`: it tells its version. Once there
    is a file `healed`, it is the real one.
    """

    def __init__(
        self,
        folder: Path,
        words: Sequence[object],
        *,
        compiles: bool = False,
        versions: bool = True,
        program: str = sys.executable,
    ) -> None:
        self.folder = folder
        self.compiling = folder / "compiling"
        self.running = folder / "running"
        tools = self._made("tools")
        gcc = [f'if [ -e {folder}/healed ]; then exec {shutil.which("gcc")} "$@"; fi']
        if versions:
            gcc.append('case "$*" in *-version*) echo gcc 1.0; exit;; esac')
            gcc.append('case "$*" in *trial.c*) exit;; esac')
        if compiles:
            program_text = f"#!/bin/sh\nsleep 600 &\n: > {self.running}\nwait\n"
            gcc.append('while [ $# -gt 1 ]; do last="$2"; shift; done')
            gcc.append(f"printf {shlex.quote(program_text)} > $last; chmod +x $last; exit")
        gcc.append(f"sleep 600 &\n: > {self.compiling}\nwait")
        tool(tools, "gcc", "\n".join(gcc))
        self._mark = uuid.uuid4().hex
        self.process = subprocess.Popen(
            [program, *map(str, words)],
            cwd=folder,
            env={
                **os.environ,
                "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
                "ARES_CACHE_DIR": str(folder / "cache"),
                "TMPDIR": str(self._made("tmp")),
                "PYTHONPATH": str(ROOT),
                _MARK: self._mark,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # pytest itself may run where Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
        )

    def wait_for(self, path: Path, seconds: float = 120.0) -> None:
        limit = time.monotonic() + seconds
        while not path.exists():
            if self.process.poll() is not None or time.monotonic() > limit:
                self.end()
                pytest.fail(f"{path.name} did not appear: {self.process.communicate()}")
            time.sleep(0.02)

    def wait_for_mapped(self, library: str, seconds: float = 120.0) -> None:
        """Until the process has begun to load a library."""
        maps = Path(f"/proc/{self.process.pid}/maps")
        limit = time.monotonic() + seconds
        while library not in maps.read_text(encoding="utf-8"):
            if self.process.poll() is not None or time.monotonic() > limit:
                self.end()
                pytest.fail(f"{library} was not loaded: {self.process.communicate()}")
            time.sleep(0.002)

    def interrupted(
        self, number: int = signal.SIGINT, *, group: bool = True, times: int = 1
    ) -> tuple[int, str]:
        """Send the signal, to the group as a terminal does or to the process alone; exit code and stderr.

        Fails when the command is not gone in time, or something that it has started is left.
        """
        start = time.monotonic()
        for _ in range(times):
            (os.killpg if group else os.kill)(self.process.pid, number)
            time.sleep(0.1)
        try:
            _, stderr = self.process.communicate(timeout=LIMIT + 20)
        except subprocess.TimeoutExpired:
            self.end()
            pytest.fail(f"it goes on, and said: {self.process.communicate()}")
        seconds = time.monotonic() - start
        # What was killed is reaped by others; what counts the workers' semaphores ends when they have.
        while (left := self.left()) and time.monotonic() - start < LIMIT:
            time.sleep(0.02)
        self.end()
        assert left == [], left
        assert seconds <= LIMIT, f"{seconds:.1f} s"
        return self.process.returncode, stderr

    def left(self) -> list[str]:
        """The processes with the mark, but for the dead."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if f"{_MARK}={self._mark}".encode() in (entry / "environ").read_bytes():
                        found.append((entry / "cmdline").read_text().replace("\0", " "))
                except OSError:  # another user's, or gone
                    continue
        return found

    def end(self) -> None:
        """Leave nothing behind, whatever the command did."""
        self.process.kill()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if f"{_MARK}={self._mark}".encode() in (entry / "environ").read_bytes():
                        os.kill(int(entry.name), signal.SIGKILL)
                except OSError:
                    continue

    def _made(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        return path
