"""Seconds of this process's own processor time: counted, and at most so many, however busy the machine is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

# A mutant may catch what is raised in it, and go on: it is raised again every so many seconds.
_AGAIN = 1.0


class TookLong(BaseException):
    """More seconds than allowed; no Exception, which code that is tried may catch."""


def busy_seconds() -> float:
    """What this process has used, with its children that have ended."""
    return sum(os.times()[:4])


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TookLong within, in the main thread; children are not counted, which have limits of their own."""

    def over(_number: int, _frame: object) -> NoReturn:
        raise TookLong("more processor time than it may take")

    before = signal.signal(signal.SIGPROF, over)
    from_now_at_most(seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def from_now_at_most(seconds: float) -> None:
    """Within `at_most`: so many from now on, instead."""
    signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN)
