"""The processes that do the jobs of a run: separate interpreters, of which nothing is left when the run is interrupted.

A Ctrl-C reaches every process of the terminal. Workers do not hear it, from their first instruction on: the run ends
them (SIGTERM), and each ends what it has started and clears away what it has in hand. Python files that lie in the
user's folder do not take part: a worker looks for modules where the run does, and nowhere else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, ParamSpec, TypeVar

from ares.toolchain import ToolchainError
from ares.toolchain.process import run_process

# Seconds that workers have to end when the run is interrupted, and when its process is gone.
_PATIENCE = 0.7
_GRACE = 5.0
_SAFE_PATH = "PYTHONSAFEPATH"
# What a terminal sends to all its processes, where the system has it.
_OF_THE_TERMINAL = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Workers(ProcessPoolExecutor):
    """Processes that are started when the first job is there."""

    def __init__(self, count: int) -> None:
        # Started fresh: forking a process that holds torch's threads can hang.
        context = multiprocessing.get_context("spawn")
        # It starts one that keeps count of what the workers share, and unlinks it if we end before we have: nothing
        # that whoever interrupts a run need be warned of.
        with _environment("PYTHONWARNINGS", "ignore"), _starting():
            super().__init__(count, mp_context=context, initializer=_prepare)

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        def start() -> Future[_T]:
            with _starting():
                return super(Workers, self).submit(_until_told, fn, *args, **kwargs)

        return _uninterrupted(start)


def end_workers() -> None:
    """Have all workers end their children and then themselves; whoever is still there after a moment is killed."""
    workers = multiprocessing.active_children()
    for worker in workers:
        worker.terminate()
    limit = time.monotonic() + _PATIENCE
    for worker in workers:
        worker.join(max(0.0, limit - time.monotonic()))
        worker.kill()
        worker.join(_PATIENCE)  # what was killed is gone when the system comes to it


def _uninterrupted(do: Callable[[], _T]) -> _T:
    """What `do` returns, done in a thread, which no signal interrupts: half started, a worker is known to nobody.

    Blocking signals is not enough: any thread may receive one, and the main thread then raises.
    """
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(do())
        except Exception as error:  # noqa: BLE001 - handed on to the caller
            done.set_exception(error)

    try:
        threading.Thread(target=run).start()
        return done.result()
    except BaseException:
        wait([done], _PATIENCE)
        raise


@contextmanager
def _starting() -> Iterator[None]:
    # `python -c`, as which multiprocessing starts a process, finds no modules in the current folder then.
    with _environment(_SAFE_PATH, "1"), _unheard():
        try:
            yield
        except OSError as error:
            raise ToolchainError(
                f"cannot start another process: {error.strerror}; raise that limit, or try --jobs 1"
            ) from error


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _unheard() -> Iterator[None]:
    """What is started here is deaf to the terminal until it is ready to say so itself."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_THE_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# What happens in the workers.


def _prepare() -> None:
    # The compilers that are started here may be Python programs with modules beside them.
    os.environ.pop(_SAFE_PATH, None)
    for number in _OF_THE_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _OF_THE_TERMINAL)
    # One job per process and as many processes as cores. torch and BLAS read this when they are imported.
    os.environ["OMP_NUM_THREADS"] = "1"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _until_told(do: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do a job. Told to stop, the worker leaves it and ends."""
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        return do(*args, **kwargs)
    except KeyboardInterrupt:
        os._exit(1)
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    while frame is not None:
        if frame.f_code is run_process.__code__:
            raise KeyboardInterrupt  # there is a child to end and a folder to clear away
        frame = frame.f_back
    # Not by an exception: torch aborts, with a message, when one meets its imports.
    os._exit(1)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os._exit(1)
