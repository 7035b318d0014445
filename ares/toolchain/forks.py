"""Children by fork: what takes seconds to import is imported once, and each child begins with it.

Only for a process that has no other threads. A child that is ended takes with it what it has started.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, NoReturn, TypeVar

_T = TypeVar("_T")
_POLL = 0.2
_GRACE = 10


@dataclass(frozen=True, slots=True)
class Ended(Generic[_T]):
    """`said`: what the child handed over, None where it ended without; `how`: its exit code, minus its signal, or None
    at the time limit; `wrong`: the end of its traceback, where it raised.
    """

    task: _T
    said: str | None
    how: int | None
    seconds: float
    wrong: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Child(Generic[_T]):
    task: _T
    pid: int
    pipe: int
    began: float
    said: bytearray = field(default_factory=bytearray)


def in_children(
    tasks: Iterable[_T], do: Callable[[_T], str], jobs: int, limit: float
) -> Generator[Ended[_T], None, None]:
    """Do each task in a child of its own, `jobs` at once, each for `limit` seconds at most; as they end."""
    waiting = iter(tasks)
    running: list[_Child[_T]] = []
    more = True
    try:
        while more or running:
            while more and len(running) < jobs:
                try:
                    task = next(waiting)
                except StopIteration:
                    more = False
                    break
                running.append(_started(task, do, limit))
            for child, how in _over(running, limit):
                running.remove(child)
                seconds = time.monotonic() - child.began
                if how == 0 and child.said:
                    yield Ended(child.task, child.said.decode(), how, seconds)
                else:
                    wrong = child.said.decode(errors="replace") if how == 1 else ""
                    yield Ended(child.task, None, how, seconds, wrong)
    finally:
        for child in running:
            _end(child)


def _started(task: _T, do: Callable[[_T], str], limit: float) -> _Child[_T]:
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _live(task, do, write, limit)
    os.close(write)
    return _Child(task, pid, read, time.monotonic())


def _live(task: _T, do: Callable[[_T], str], pipe: int, limit: float) -> NoReturn:
    """What a child does: never returns, and runs nothing that its parent has left for its own end."""
    code = 1
    try:
        os.setsid()
        # The parent's own way of being interrupted is not the child's.
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(int(limit) + _GRACE)  # should nobody be left to end it
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        data = do(task).encode()
        while data:
            data = data[os.write(pipe, data) :]
        code = 0
    except BaseException:  # noqa: BLE001 - it ends here, whatever it was
        with suppress(OSError):
            os.write(pipe, traceback.format_exc()[-2000:].encode())
    finally:
        os._exit(code)


def _over(running: list[_Child[_T]], limit: float) -> list[tuple[_Child[_T], int | None]]:
    """The children that have ended, or are now ended."""
    found: list[tuple[_Child[_T], int | None]] = []
    ready, _, _ = select.select([child.pipe for child in running], [], [], _POLL)
    for child in running:
        if child.pipe in ready:
            data = os.read(child.pipe, 1 << 16)
            child.said.extend(data)
            if not data:
                found.append((child, _end(child, kill=False)))
        elif time.monotonic() - child.began > limit:
            _end(child)
            found.append((child, None))
    return found


def _end(child: _Child[_T], *, kill: bool = True) -> int:
    with suppress(ProcessLookupError):
        if kill:
            os.kill(child.pid, signal.SIGKILL)
        _, status = os.waitpid(child.pid, 0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)  # what it has left behind
        os.close(child.pipe)
        return os.waitstatus_to_exitcode(status)
    return 1
