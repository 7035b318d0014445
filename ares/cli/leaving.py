"""Ways out of Python that a model's code could take, and that would look like success of the command that runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from ares.cli.output import USAGE


@contextmanager
def no_silent_exit() -> Iterator[None]:
    """While this lasts, `os._exit` ends the command with one line on stderr and exit code 2, whatever it is given.

    Covered, with `sys.exit` and what else raises SystemExit, which `code_of_the_user` catches: what code in Python
    calls, in any thread, and also later what it got hold of here, in `atexit` for example. Not covered: C's `exit(0)`
    called through ctypes or an extension, and `os.execv` of another program. No patch can stop those, and a child that
    is watched would cost every command the import of torch; code that means to deceive can print "EXACT" just as well.
    A process that a signal ends, as `os.abort` and `os.kill` do, has no exit code 0.
    """
    real, owner = os._exit, os.getpid()

    def leave(status: int) -> NoReturn:
        if os.getpid() != owner:  # a child that was forked, by a DataLoader for example
            real(status)
        try:
            sys.stdout.flush()
            # Not through sys.stderr: another thread may hold its lock.
            os.write(2, f"ares: the model's code called os._exit({status!r})\n".encode())
        finally:  # whether or not there is somebody to tell
            real(USAGE)

    places = (os, sys.modules[os.name])  # `os` takes its functions from `posix` or `nt`
    for place in places:
        vars(place)["_exit"] = leave
    try:
        yield
    finally:
        for place in places:
            vars(place)["_exit"] = real
