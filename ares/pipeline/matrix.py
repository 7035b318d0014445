"""Many networks on many targets: one process per core, one network at a time in each.

Workers are separate interpreters, so that a crash of one is that network's failure and nobody else's.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from ares.toolchain import Target, select
from ares.verify import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Matrix:
    """All verdicts, in the order of networks and stages, and the time that the run took."""

    verdicts: tuple[Verdict, ...]
    seconds: float

    @property
    def failures(self) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.outcome is Outcome.FAIL)

    @property
    def not_run(self) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.outcome is Outcome.NOT_RUN)

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(verdict.stage for verdict in self.verdicts))

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(verdict.network for verdict in self.verdicts))


Progress = Callable[[str, Sequence[Verdict]], None]
"""Called with a network's name when it starts (no verdicts) and when it has ended."""


def run_matrix(
    names: Sequence[str], targets: Sequence[Target], progress: Progress, jobs: int | None = None
) -> Matrix:
    """Every stage and target of every network; `jobs` defaults to the number of cores."""
    start = time.monotonic()
    workers = max(1, min(jobs or os.cpu_count() or 1, len(names)))
    results: dict[str, tuple[Verdict, ...]] = {}
    target_names = [target.name for target in targets]
    # Started fresh: forking a process that holds torch's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare_worker) as pool:
        waiting = list(names)
        running: dict[Future[tuple[Verdict, ...]], str] = {}
        while waiting or running:
            while waiting and len(running) < workers:
                name = waiting.pop(0)
                progress(name, ())
                running[pool.submit(verify_network, name, target_names)] = name
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                try:
                    results[name] = future.result()
                except BrokenProcessPool:
                    results[name] = (_worker_died(name),)
                    waiting, lost = [], [*running.values(), *waiting]
                    results |= {other: (_worker_died(other),) for other in lost}
                    running = {}
                progress(name, results[name])
    verdicts = tuple(verdict for name in names for verdict in results[name])
    return Matrix(verdicts, time.monotonic() - start)


def verify_network(name: str, target_names: Sequence[str]) -> tuple[Verdict, ...]:
    """All stages of one network in this process."""
    # Imported here: the process that only shows progress does not need torch.
    from ares.pipeline.session import STAGES, Session
    from ares.pipeline.zoo import zoo_paths

    session = Session(zoo_paths(name))
    verdicts = [session.stage(stage) for stage in STAGES]
    if any(v.outcome is Outcome.FAIL for v in verdicts[:2]):
        # Without a Graph there is no C; the failed stage says why.
        return tuple(verdicts)
    targets = select(target_names) if target_names else ()
    return (*verdicts, *(session.target(target) for target in targets))


def _prepare_worker() -> None:
    # One network per process and as many processes as cores. torch and BLAS read this when they are imported.
    os.environ["OMP_NUM_THREADS"] = "1"


def _worker_died(name: str) -> Verdict:
    return Verdict(
        name,
        "check",
        Outcome.FAIL,
        f"{name}: a worker process died (killed, or out of memory)\n"
        f"to repeat it: ares networks {name}",
        "worker died",
    )
