"""One child process, in a session of its own, that cannot outlive its timeout or its caller's interrupt.

A timeout that ends only the direct child leaves its children running (a hung emulator under a shell), so
the whole process group is ended: at the timeout, and when the caller is interrupted. Output goes to files and not
through pipes: a grandchild that holds a pipe open cannot block the reader.

Only the main thread is told of a Ctrl-C. Children that other threads wait for are ended by `no_children`, which
`side_by_side` does for its threads. Where there are no process groups (Windows), the child alone is ended.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

# Signals that come from outside: out of memory, or by hand. Not every system has both.
FROM_OUTSIDE = tuple(
    getattr(signal, name) for name in ("SIGKILL", "SIGTERM") if hasattr(signal, name)
)

_Child = subprocess.Popen[bytes]
# The children that run, and whether one was ended by `no_children`; how many of those go on, and how many children are
# just being started.
_lock = threading.Condition()
_running: dict[_Child, bool] = {}
_forbidden = 0
_starting = 0
# Seconds for a start, which is over when the program is loaded.
_PATIENCE = 1.0


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
    grace: float = 0.0,
) -> Finished:
    """Run a command in a folder to its end, or to the timeout in seconds.

    `environment` is added to the caller's own. `grace`: seconds for a command that, told to end (SIGTERM), ends what
    it has started in sessions of their own, as ARES does. Raises OSError when the program cannot be started,
    KeyboardInterrupt when it was ended by `no_children`.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = _start(
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
            ended = _end(child, grace)
        if ended:
            raise KeyboardInterrupt
        return Finished(code, _text(stdout), _text(stderr))


@contextmanager
def no_children() -> Iterator[None]:
    """End all children, and let none be started meanwhile: whoever waits for one, or wants one, is interrupted."""
    global _forbidden
    with _lock:
        _forbidden += 1
        for child in _running:
            _running[child] = True
            _kill(child)
        # Who goes on to end this process would leave behind what is half started: nobody knows of it yet.
        _lock.wait_for(lambda: _starting == 0, _PATIENCE)
    try:
        yield
    finally:
        with _lock:
            _forbidden -= 1


@contextmanager
def side_by_side(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that start processes. An interrupt ends the processes, and with them the threads."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except Exception:
        # An error of the caller: what has been started comes to its end, and the error goes on.
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:
        with no_children():
            pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _start(command: Sequence[str], **options: Any) -> _Child:
    """The child, as one that runs.

    Started in a thread, which no signal interrupts: a Popen that is interrupted has a process and is lost.
    """
    future: Future[_Child] = Future()

    def start() -> None:
        global _starting
        with _lock:
            _starting += 1
        try:
            child = subprocess.Popen(command, **options)
            with _lock:
                _running[child] = _forbidden > 0
                if _forbidden:
                    _kill(child)
        except Exception as error:  # noqa: BLE001 - handed on to the caller
            future.set_exception(error)
        else:
            future.set_result(child)
        finally:
            with _lock:
                _starting -= 1
                _lock.notify_all()

    try:
        threading.Thread(target=start).start()
        return future.result()
    except BaseException:
        # Who is interrupted may end this process at once: not before there is a child that can be ended.
        wait([future], _PATIENCE)
        future.add_done_callback(lambda done: done.exception() or _end(done.result()))
        raise


def _end(child: _Child, grace: float = 0.0) -> bool:
    """Have the child ended and reaped; True when it was `no_children` that ended it."""
    if grace and child.returncode is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    with _lock:
        if child.returncode is None:
            # Not reaped yet, so that its id, which is the group's, still belongs to it.
            _kill(child)
        ended = _running.pop(child)
    child.wait()
    return ended


def _kill(child: _Child) -> None:
    """End a child with all that it has started, where the system has groups of processes."""
    if child.returncode is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()


def _wait(child: _Child, timeout: float) -> int:
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
