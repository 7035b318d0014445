"""Many seeds, side by side: `Campaign.run` hands batches to worker processes and gathers what became of them.

A worker that dies costs nobody's result: its seeds are tried again, each alone, and the one that ends a worker again is
a finding, and so is one that does not end in time; where none does, what became of them together is one. An interrupt
and a time limit leave the results of what was done.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from ares.fuzzer.findings import Finding, Judged, of_batch
from ares.fuzzer.spread import Spread
from ares.pipeline.cluster import Cluster
from ares.pipeline.workers import Workers, end_workers
from ares.toolchain import ToolchainError

BATCH = 24
"""Seeds that one worker takes at once: as many networks go into one library."""
_FIRST = 3
SECONDS_A_SEED = 300.0
"""After which a seed has not ended in time, when it is alone: most take two, on a busy machine some take a minute."""
_GRACE = 4.0
_LOOK = 0.25

Progress = Callable[["Tally"], None]


class Tally:
    """What is known so far of the seeds `first` .. `first` + `planned` - 1."""

    def __init__(self, first: int, planned: int, targets: tuple[str, ...]) -> None:
        self.first = first
        self.planned = planned
        self.targets = targets
        self.done = 0
        self.accepted = 0
        self.cases = 0
        self.layers = 0
        self.seconds = 0.0
        self.interrupted = False
        self.refusals: Counter[str] = Counter()
        self.operations: Counter[str] = Counter()
        self.cells: Counter[str] = Counter()
        self.stages: dict[str, float] = {}
        self.findings: dict[str, list[Finding]] = {}

    def take(self, judged: Judged) -> None:
        self.done += 1
        self.accepted += judged.accepted
        self.cases += judged.cases
        self.layers += judged.layers
        self.operations.update(judged.operations)
        self.cells.update(judged.cells)
        for stage, seconds in judged.seconds.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds
        if judged.refusal:
            self.refusals[judged.refusal] += 1
        if judged.finding is not None:
            self.findings.setdefault(judged.finding.symptom, []).append(judged.finding)

    @property
    def firsts(self) -> tuple[Finding, ...]:
        """Of each symptom the finding of the smallest seed."""
        return tuple(min(found, key=lambda f: f.seed) for found in self.findings.values())

    @property
    def rate(self) -> float:
        """Graphs a second."""
        return self.done / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """`jobs`: worker processes; 0: all is done in this process. `time_limit`: seconds, None for none.

    With `cluster` its workers do it, `jobs` at a time.
    """

    first: int
    graphs: int
    targets: tuple[str, ...]
    jobs: int
    time_limit: float | None = None
    cluster: Cluster | None = None

    def run(self, progress: Progress) -> Tally:
        """All seeds, or as many as the time allows; an interrupt is noted, not raised."""
        tally = Tally(self.first, self.graphs, self.targets)
        start = time.monotonic()
        limit = None if self.time_limit is None else start + self.time_limit
        try:
            for judged in self._judged(limit):
                tally.take(judged)
                tally.seconds = time.monotonic() - start
                progress(tally)
        except KeyboardInterrupt:
            tally.interrupted = True
        finally:
            end_workers()
        tally.seconds = time.monotonic() - start
        return tally

    def _judged(self, limit: float | None) -> Iterator[Judged]:
        batches = self._batches()
        if self.jobs == 0:
            for seeds in batches:
                yield from work(seeds, self.targets)
                if _is_over(limit):
                    return
            return
        if self.cluster is not None:
            spread = Spread(self.cluster, work, self.targets, _patience)
            yield from spread.run(batches, lambda: _is_over(limit))
            return
        yield from _Pool(self.jobs, self.targets).run(batches, limit)

    def _batches(self) -> Iterator[tuple[int, ...]]:
        """Small ones first, so that a short run has something to show; then as large as every worker has some."""
        workers = max(1, self.jobs)
        most = max(1, min(BATCH, -(-self.graphs // workers)))
        start, given = 0, 0
        while start < self.graphs:
            size = min(most, _FIRST << given // workers, self.graphs - start)
            yield tuple(range(self.first + start, self.first + start + size))
            start += size
            given += 1


@dataclass(frozen=True, slots=True)
class _Pool:
    """Workers, and the batches that they have."""

    jobs: int
    targets: tuple[str, ...]

    def run(self, batches: Iterator[tuple[int, ...]], limit: float | None) -> Iterator[Judged]:
        workers = Workers(self.jobs)
        running: dict[Future[tuple[Judged, ...]], tuple[tuple[int, ...], float]] = {}
        suspects: list[int] = []
        more = True
        while True:
            while more and len(running) < self.jobs and not _is_over(limit):
                seeds = next(batches, None)
                if seeds is None:
                    more = False
                else:
                    running[self._start(workers, seeds)] = seeds, time.monotonic()
            if not running or _is_over(limit, _GRACE):
                break
            ended, _ = wait(running, _LOOK, FIRST_COMPLETED)
            why: tuple[str, str] | None = None
            for future in ended:
                seeds, _ = running.pop(future)
                try:
                    yield from future.result()
                except ToolchainError:
                    raise
                except BrokenProcessPool:
                    suspects += seeds
                    why = why or ("crash", "a process ended")
                except Exception as error:  # noqa: BLE001 - tried again seed by seed, then a finding with its traceback
                    suspects += seeds
                    why = type(error).__name__, "".join(traceback.format_exception(error))
            if any(_is_late(seeds, since) for seeds, since in running.values()):
                why = why or ("timeout", "not ended in time")
            if why is not None:
                suspects += [seed for seeds, _ in running.values() for seed in seeds]
                running.clear()
                _end(workers)
                yield from self._explained(suspects, *why)
                suspects.clear()
                workers = Workers(self.jobs)
        _end(workers)

    def _start(self, workers: Workers, seeds: tuple[int, ...]) -> Future[tuple[Judged, ...]]:
        return workers.submit(work, seeds, self.targets)

    def _explained(self, seeds: Sequence[int], kind: str, how: str) -> Iterator[Judged]:
        """Each seed alone. Where none of them fails, what happened to them together is the finding."""
        found, held = False, None
        for judged in self._alone(seeds):
            found |= judged.finding is not None
            if held is not None:
                yield held
            held = judged
        if held is not None:
            yield held if found else of_batch(held, seeds, kind, how)

    def _alone(self, seeds: Sequence[int]) -> Iterator[Judged]:
        """Each seed in a worker of its own: which of them ends it, or does not end?"""
        workers = Workers(1)
        for seed in sorted(seeds):
            workers.submit(_ready).result()  # what its imports take is not the seed's
            future = self._start(workers, (seed,))
            try:
                yield from future.result(SECONDS_A_SEED)
                continue
            except BrokenProcessPool:
                kind, how = "crash", "the process ended"
            except TimeoutError:
                kind, how = "timeout", f"not ended after {SECONDS_A_SEED:g} s"
            except ToolchainError:
                raise
            except Exception as error:  # noqa: BLE001 - what a seed raises is a finding, with its traceback
                kind, how = type(error).__name__, "".join(traceback.format_exception(error))
            yield Judged(seed, Finding(seed, f"worker: {kind}", "worker", f"seed {seed}: {how}"))
            _end(workers)
            workers = Workers(1)
        _end(workers)


def _end(workers: Workers) -> None:
    end_workers()
    workers.shutdown(wait=False, cancel_futures=True)


def _is_over(limit: float | None, grace: float = 0.0) -> bool:
    return limit is not None and time.monotonic() > limit + grace


def _is_late(seeds: Sequence[int], since: float) -> bool:
    return time.monotonic() - since > _patience(len(seeds))


def _patience(seeds: int) -> float:
    """Seconds in which a batch has to end."""
    return SECONDS_A_SEED + 20.0 * seeds


# What happens in a worker.


def _ready() -> None:
    """Import what a worker needs."""
    from ares.fuzzer import batch as batch


def work(seeds: Sequence[int], targets: Sequence[str]) -> tuple[Judged, ...]:
    """Judge the graphs of seeds, those of one target in one library."""
    import torch

    from ares.fuzzer.batch import judge_batch
    from ares.fuzzer.drawing import draw
    from ares.toolchain import select

    torch.set_num_threads(1)
    # Modules are full of cycles: what a batch leaves is collected once, what the imports left is not looked through.
    gc.freeze()
    gc.disable()
    try:
        return judge_batch([draw(seed) for seed in seeds], select(list(targets)) if targets else ())
    finally:
        gc.enable()
        gc.collect()
