"""Workers on other machines: a Dask cluster in place of the processes of this one (`--scheduler ADDRESS`).

A worker is a process of Dask's with one thread, on a machine that has this ARES, the same packages and the same
checkout; each looks after its own cache. What a lost worker had in hand is given to another one; a job that takes
worker after worker with it is that job's failure. Needs the extra `cluster`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, ParamSpec, TypeVar

from ares.pipeline.keys import Keys
from ares.toolchain import ToolchainError

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Seconds to wait for a scheduler that does not answer.
_PATIENCE = 10
# Jobs a worker that are on their way, so that none waits for the next one.
_AHEAD = 2


class ClusterError(ToolchainError):
    """The cluster cannot be used, or is gone; one line for the user."""


class JobKilledWorkers(Exception):
    """Every worker that was given this job died."""


class Cluster(Executor):
    """The workers of a scheduler at `address` ("tcp://host:8786"). Raises ClusterError where they cannot be used."""

    def __init__(self, address: str) -> None:
        if find_spec("distributed") is None:
            raise ClusterError("--scheduler needs Dask: pip install 'ares-codegen[cluster]'")
        self._address = address
        self._client: Any = _client(address)  # Dask's classes are half typed
        try:
            self._check(self._client.scheduler_info(n_workers=-1)["workers"])
        except BaseException:
            self._client.close()
            raise

    @property
    def capacity(self) -> int:
        """How many jobs to have on their way."""
        return _AHEAD * max(1, len(self._client.nthreads()))

    def everywhere(
        self, do: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Mapping[str, _T]:
        """What `do` returns on each worker, by the worker's address."""
        found: Mapping[str, _T] = self._client.run(do, *args, **kwargs)
        return found

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Its exception is JobKilledWorkers, ClusterError, or what `fn` raised."""
        ours: Future[_T] = Future()
        theirs = self._client.submit(fn, *args, pure=False, **kwargs)
        theirs.add_done_callback(lambda done: self._hand_on(done, ours))
        return ours

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster; jobs that are on their way end with the connection."""
        self._client.close()

    def _hand_on(self, theirs: Any, ours: Future[_T]) -> None:
        from distributed.scheduler import KilledWorker

        if theirs.status == "finished":
            ours.set_result(theirs.result())
            return
        error = theirs.exception() if theirs.status == "error" else None
        if isinstance(error, KilledWorker):
            ours.set_exception(JobKilledWorkers(str(error)))
        else:
            ours.set_exception(error or ClusterError(f"the scheduler at {self._address} is gone"))

    def _check(self, workers: Mapping[str, Any]) -> None:
        if not workers:
            raise ClusterError(
                f"the scheduler at {self._address} has no workers; start some: "
                f"dask worker {self._address} --nthreads 1"
            )
        for name, facts in workers.items():
            if facts["nthreads"] != 1:
                raise ClusterError(
                    f"worker {name} has {facts['nthreads']} threads, expected 1, for a job has a process to "
                    f"itself: dask worker {self._address} --nthreads 1 --nworkers N"
                )
        for name, differs in self.everywhere(differs_from, sources()).items():
            if differs:
                raise ClusterError(f"worker {name}: {differs}")


@contextmanager
def connected(address: str | None) -> Iterator[Cluster | None]:
    """The cluster at an address, left afterwards; None for none."""
    if address is None:
        yield None
        return
    cluster = Cluster(address)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def sources() -> str:
    """A digest of ARES' own files and of the packages that compute."""
    return Keys().package


def differs_from(there: str) -> str | None:
    """What is wrong with this machine where ARES' sources are not those of another one; None: nothing."""
    if sources() == there:
        return None
    return (
        "it has another ARES, or other versions of torch, Brevitas or numpy, than who asks: "
        "install the same on both (constraints.txt)"
    )


def _client(address: str) -> Any:
    from distributed import Client

    # Its warnings of lost workers are about what is mended anyway, and the summary says what is not.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        make: Any = Client
        return make(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ClusterError(
            f"no Dask scheduler answers at {address} ({said}); start one: dask scheduler"
        ) from error
