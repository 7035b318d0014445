"""Batches of seeds on a Dask cluster (`ares.pipeline.cluster`), whose lost workers lose no seed.

A batch that takes worker after worker with it, raises, or does not end, is tried again seed by seed; the seed that does
so alone is a finding, and where none does, the batch is. What does not end keeps its worker: only its machine can end
it.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from ares.fuzzer.findings import Finding, Judged, of_batch
from ares.pipeline.cluster import Cluster, JobKilledWorkers
from ares.toolchain import ToolchainError

Batch = tuple[int, ...]
Work = Callable[[Batch, tuple[str, ...]], tuple[Judged, ...]]
_LOOK = 0.25


class _Broken:
    """A batch that failed, of which `left` seeds are still to be tried alone."""

    def __init__(self, seeds: Batch, kind: str, how: str) -> None:
        self.seeds = seeds
        self.kind = kind
        self.how = how
        self.left = len(seeds)
        self.found = False


class Spread:
    """`work(seeds, targets)` is what a worker does; `patience(seeds)`: seconds in which it has to end."""

    def __init__(
        self,
        cluster: Cluster,
        work: Work,
        targets: tuple[str, ...],
        patience: Callable[[int], float],
    ) -> None:
        self.cluster = cluster
        self.work = work
        self.targets = targets
        self.patience = patience
        self.again: deque[Batch] = deque()
        self.broken: dict[int, _Broken] = {}
        self.running: dict[Future[tuple[Judged, ...]], tuple[Batch, float]] = {}

    def run(self, batches: Iterator[Batch], is_over: Callable[[], bool]) -> Iterator[Judged]:
        """What becomes of every seed, until it is over."""
        while not is_over():
            while len(self.running) < self.cluster.capacity:
                seeds = self.again.popleft() if self.again else next(batches, None)
                if seeds is None:
                    break
                future = self.cluster.submit(self.work, seeds, self.targets)
                self.running[future] = seeds, time.monotonic()
            if not self.running:
                return
            for future in wait(self.running, _LOOK, FIRST_COMPLETED).done:
                seeds, _ = self.running.pop(future)
                yield from map(self._explained, self._ended(seeds, future))
            for future, (seeds, since) in list(self.running.items()):
                seconds = self.patience(len(seeds))
                if time.monotonic() - since > seconds:
                    del self.running[future]
                    said = f"not ended after {seconds:g} s"
                    yield from map(self._explained, self._failed(seeds, "timeout", said))

    def _ended(self, seeds: Batch, future: Future[tuple[Judged, ...]]) -> Iterator[Judged]:
        try:
            yield from future.result()
        except ToolchainError:
            raise
        except JobKilledWorkers:
            yield from self._failed(seeds, "crash", "the process ended")
        except Exception as error:  # noqa: BLE001 - what a seed raises is a finding, with its traceback
            said = "".join(traceback.format_exception(error))
            yield from self._failed(seeds, type(error).__name__, said)

    def _failed(self, seeds: Batch, kind: str, how: str) -> Iterator[Judged]:
        """A finding where it is one seed, else each is tried alone."""
        if len(seeds) > 1:
            self.again.extend((seed,) for seed in seeds)
            self.broken |= dict.fromkeys(seeds, _Broken(seeds, kind, how))
            return
        (seed,) = seeds
        yield Judged(seed, Finding(seed, f"worker: {kind}", "worker", f"seed {seed}: {how}"))

    def _explained(self, judged: Judged) -> Judged:
        """As it is, unless it is the last seed of a broken batch and none of them has failed alone."""
        batch = self.broken.pop(judged.seed, None)
        if batch is None:
            return judged
        batch.left -= 1
        batch.found |= judged.finding is not None
        if batch.left or batch.found:
            return judged
        return of_batch(judged, batch.seeds, batch.kind, batch.how)
