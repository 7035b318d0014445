"""What an interrupt makes of a command: one line on stderr, exit code 128 and the signal's number, nothing left behind.

Ctrl-C, `kill` and a terminal that closes all arrive as KeyboardInterrupt: whoever has started something ends it on the
way out. Light to import, so that an interrupt of the imports ends in the same line.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

# SIGHUP is not on every system.
_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
# Seconds after which an interrupt is no longer left to the main thread, which may be inside of torch and not hear it.
_PATIENCE = 1.5
# While code of the user runs, os._exit is another (ares/cli/leaving.py).
_exit = os._exit
_LINE = "ares: interrupted\n"
_said = threading.Lock()
# Over the ^C that a terminal shows, or what is left of a progress bar, whose cursor is hidden.
_ON_A_TERMINAL = "\r\x1b[K\x1b[?25h"


@contextmanager
def interruptible() -> Iterator[None]:
    """Around a whole program. The first interrupt ends it; later ones, and those after its end, change nothing."""
    came: list[int] = []
    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        _ignore(heard)
        if _in_an_import(frame):
            # Not by an exception: torch aborts, with a message, when one meets its imports.
            _end(number)
        came.append(number)
        # What is interrupted in a destructor says so and goes on.
        sys.unraisablehook = lambda _: None
        raise KeyboardInterrupt

    _watch(heard)
    for number in heard:
        signal.signal(number, interrupt)
    try:
        yield
    except BaseException as error:
        # typer makes an exit code of it.
        if came or isinstance(error, KeyboardInterrupt) or _is_interrupt(error):
            _leave(came)
        raise
    else:
        if came:  # something on the way took it for an error of its own
            _leave(came)
    finally:
        _ignore(heard)


def _in_an_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _is_interrupt(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code == 128 + signal.SIGINT


def _leave(came: list[int]) -> NoReturn:
    """All is ended; what Python does at its own end takes seconds where torch is."""
    _say()
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        if sys.stdout is not None:
            sys.stdout.flush()
    _exit(128 + (came[0] if came else signal.SIGINT))


def _ignore(signals: list[int]) -> None:
    for number in signals:
        signal.signal(number, signal.SIG_IGN)


def _say() -> None:
    if not _said.acquire(blocking=False):
        return
    with suppress(OSError):  # there may be nobody to say it to
        os.write(2, ((_ON_A_TERMINAL if os.isatty(2) else "") + _LINE).encode())


def _watch(signals: list[int]) -> None:
    """Have a thread told of signals as they come, which Python tells the main thread only between two of its steps."""
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.detach(), warn_on_full_buffer=False)

    def watch() -> None:
        while True:
            number = told.recv(1)[0]
            if number in signals:
                time.sleep(_PATIENCE)
                _end(number)

    try:
        threading.Thread(target=watch, daemon=True).start()
    except RuntimeError:  # no more threads: the main one hears of it, if late
        os.close(signal.set_wakeup_fd(-1))


def _end(number: int) -> NoReturn:
    """End the children, if there can be any, and the process, whatever the main thread is doing."""
    processes = sys.modules.get("ares.toolchain.process")
    no_children = getattr(processes, "no_children", suppress)
    with no_children():
        _say()
        _exit(128 + number)
