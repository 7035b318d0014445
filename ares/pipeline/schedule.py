"""Subjects x targets: which cells there are, which need computing, and in which order.

A *subject* is a network of the zoo or a suite of operations' cases. Work comes in jobs (`ares.pipeline.jobs`):
preparing a target (the library of the runtime is built), a subject's front (the stages before the C), and a cell (one
subject on one target). They are spread over processes, slowest first, as soon as what they need is there. Fronts and
cells that passed before on the same content are not computed again (`ares.pipeline.front`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any
from uuid import uuid4

from ares.pipeline import expectations
from ares.pipeline.catalogue import Zoo
from ares.pipeline.cluster import Cluster, JobKilledWorkers
from ares.pipeline.front import Front, Store
from ares.pipeline.jobs import Job, Kept, failed, hindrances, work, work_elsewhere
from ares.pipeline.keys import Keys
from ares.pipeline.matrix import Event, Matrix
from ares.pipeline.sampling import Sample
from ares.pipeline.workers import Workers, end_workers
from ares.toolchain import Target, missing_tools
from ares.verdict import STAGES, Outcome, Verdict


def run_matrix(
    zoo: Zoo,
    names: Sequence[str],
    targets: Sequence[Target],
    progress: Callable[[Event], None],
    jobs: int | None = None,
    *,
    sample: Sample | None = None,
    fresh: bool = False,
    cluster: Cluster | None = None,
) -> Matrix:
    """Every stage of these subjects of a zoo, on every target. `jobs` defaults to the number of cores; with `cluster`,
    its workers do them.

    `sample` leaves out large networks on some targets, by its rule; None runs everything. `fresh`: nothing of an
    earlier run is taken over, neither verdicts nor built programs (zig's C libraries are zig's own affair).
    """
    start = time.monotonic()
    run = _Run(zoo, names, targets, progress, sample or Sample(None, names), fresh, cluster)
    run.execute(max(1, jobs or os.cpu_count() or 1))
    return Matrix(run.verdicts(), time.monotonic() - start, tuple(targets))


class _Run:
    """What is known and what is left to do."""

    def __init__(
        self,
        zoo: Zoo,
        names: Sequence[str],
        targets: Sequence[Target],
        progress: Callable[[Event], None],
        sample: Sample,
        fresh: bool,
        cluster: Cluster | None,
    ) -> None:
        self.cluster = cluster
        self.zoo = zoo
        self.names = names
        self.targets = targets
        self.progress = progress
        self.sample = sample
        self.fresh = fresh
        since = time.time() if fresh else 0.0
        self.job = partial(Job, run=uuid4().hex, zoo=zoo, since=since)
        self.store = Store()
        self.keys = Keys()
        self.found: dict[tuple[str, str], Verdict] = {}
        self.unprepared: set[str] = set()
        self.waiting: list[Job] = []
        self.running: dict[Future[Any], Job] = {}
        self.suspects: list[Job] = []

    def verdicts(self) -> tuple[Verdict, ...]:
        """All, in the order of subjects, then stages, then targets."""
        targets = [target.stage for target in self.targets]
        return tuple(
            self.found[name, stage]
            for name in self.names
            for stage in (*self._stages(name), *targets)
            if (name, stage) in self.found
        )

    # The order of work.

    def execute(self, workers: int) -> None:
        self.hindered = self._hindered()
        self.unprepared = {name for name, reasons in self.hindered.items() if not any(reasons)}
        for name in self.names:
            self._plan_subject(name)
        busy = {job.target for job in self.waiting if job.kind == "cell"}
        anything = any(job.kind == "front" for job in self.waiting)
        self.waiting += [
            self.job("target", target=target.name, cost=(_slowness(target),))
            for target in self.targets
            if target.name in self.unprepared and (anything or target.name in busy)
        ]
        if self.waiting:
            self._work(workers)

    def _work(self, workers: int) -> None:
        pool: Executor = self.cluster or Workers(workers)
        try:
            while self.waiting or self.running or self.suspects:
                whole = self._submit(pool, self.cluster.capacity if self.cluster else workers)
                done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in done:
                    if not isinstance(future.exception(), BrokenProcessPool):
                        job = self.running.pop(future)
                        self._finish(job, self._result(job, future))
                    else:
                        whole = False
                if not whole:
                    pool.shutdown(wait=False, cancel_futures=True)
                    pool = Workers(workers)
                    self._worker_died()
        except BaseException:
            end_workers()
            raise
        finally:
            if self.cluster is None:  # one that was given is its owner's to leave
                pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, pool: Executor, workers: int) -> bool:
        """Start what can be started; jobs that ran when a worker died run alone. False: the pool is broken."""
        try:
            if self.suspects:
                if not self.running:
                    self._start(pool, self.suspects[0])
                return True
            while len(self.running) < workers and (ready := self._ready()):
                job = min(ready, key=_urgency)
                self._start(pool, job)
                self.waiting.remove(job)
        except BrokenProcessPool:
            return False
        return True

    def _start(self, pool: Executor, job: Job) -> None:
        if self.cluster is None:
            future: Future[Any] = pool.submit(work, job)
        else:
            future = pool.submit(work_elsewhere, job, self._front_for(job))
        self.running[future] = job
        self._tell()

    def _result(self, job: Job, future: Future[Any]) -> tuple[Verdict, ...]:
        verdicts: tuple[Verdict, ...]
        if self.cluster is None:
            verdicts = future.result()
            return verdicts
        try:
            verdicts, kept = future.result()
        except JobKilledWorkers:
            return _killer(job)
        if kept is not None:
            self.store.keep_front(job.key, *kept)
        return verdicts

    def _front_for(self, job: Job) -> Kept | None:
        """What a worker on another machine needs to judge a cell without torch."""
        front = self.store.front(job.key) if job.kind == "cell" else None
        return None if front is None else (front, self.store.graph(job.key))

    def _ready(self) -> list[Job]:
        return [j for j in self.waiting if j.kind != "cell" or j.target not in self.unprepared]

    def _worker_died(self) -> None:
        victims = list(self.running.values())
        self.running.clear()
        if self.suspects and victims == self.suspects[:1]:
            job = self.suspects[0]
            self._finish(job, _killer(job))
        else:
            self.suspects += victims

    def _finish(self, job: Job, verdicts: tuple[Verdict, ...]) -> None:
        if self.suspects[:1] == [job]:
            self.suspects.pop(0)
        if job.kind == "target":
            self.unprepared.discard(job.target)
        elif job.kind == "front":
            self._record(verdicts)
            self._plan_cells(job.subject, job.key, verdicts)
        else:
            verdicts = tuple(expectations.judge(verdict) for verdict in verdicts)
            self._record(verdicts)
        self._tell(verdicts)

    # What there is to do.

    def _hindered(self) -> Mapping[str, tuple[str | None, str | None]]:
        """Why targets cannot be used where the work is done, as `hindrances` says it."""
        if self.cluster is None:
            missing = missing_tools(self.targets)
            return {
                target.name: (target.lacking(), missing[target.name]) for target in self.targets
            }
        names = [target.name for target in self.targets]
        found: dict[str, tuple[str | None, str | None]] = dict.fromkeys(names, (None, None))
        for worker, there in self.cluster.everywhere(hindrances, names).items():
            for name, reasons in there.items():
                if any(reasons) and not any(found[name]):
                    found[name] = _said_by(worker, *reasons)
        return found

    def _plan_subject(self, name: str) -> None:
        key = self.keys.front(name, self.zoo.files(name))
        front = None if self.fresh else self.store.front(key)
        if front is not None:
            self._record(front.verdicts)
            self._plan_cells(name, key, front.verdicts)
        else:
            weight = sum(path.stat().st_size for path in self.zoo.files(name))
            stage = self._stages(name)[0]
            self.waiting.append(
                self.job("front", subject=name, stage=stage, key=key, cost=(weight,))
            )

    def _plan_cells(self, name: str, key: str, verdicts: Sequence[Verdict]) -> None:
        failed = {verdict.stage for verdict in verdicts if verdict.outcome is Outcome.FAIL}
        if any(stage.gives_graph and stage.name in failed for stage in STAGES):
            return  # Without a Graph there is no C; the failed stage says why.
        front = self.store.front(key)
        # A front that did not pass is not kept: its cells are computed from the beginning, every time.
        macs = front.macs if front is not None else 0
        for target in self.targets:
            settled = self._settled(name, front, target)
            if settled is not None:
                self._record([settled])
                continue
            case = self.sample.only_case(name, target, macs)
            cell = (
                "" if front is None else self.keys.cell(front, self.zoo.files(name), target, case)
            )
            kept = self.store.verdict(cell) if cell and not self.fresh else None
            judged = expectations.judge(kept) if kept is not None else None
            if judged is not None and judged.outcome.facts.kept:
                self._record([judged])
            else:
                job = self.job(
                    "cell",
                    subject=name,
                    target=target.name,
                    stage=target.stage,
                    key=key,
                    cell=cell,
                    only_case=case,
                    cost=(float(macs), _slowness(target)),
                )
                self.waiting.append(job)

    def _settled(self, name: str, front: Front | None, target: Target) -> Verdict | None:
        """The verdict of a cell that will not run."""
        settled = partial(Verdict, name, target.stage, target=target.name)
        lacking, missing = self.hindered[target.name]
        if lacking is not None:
            return settled(Outcome.LEFT_OUT, lacking, "processor")
        if missing is not None:
            return settled(Outcome.NOT_RUN, missing, "missing tool")
        if front is None:
            return None
        out = self.sample.left_out(name, target, front.macs)
        return None if out is None else settled(Outcome.LEFT_OUT, out, "sampled")

    def _stages(self, name: str) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.zoo.stages(name))

    def _record(self, verdicts: Iterable[Verdict]) -> None:
        self.found |= {(verdict.network, verdict.stage): verdict for verdict in verdicts}

    def _tell(self, verdicts: tuple[Verdict, ...] = ()) -> None:
        left = {*self.waiting, *self.running.values(), *self.suspects}
        cells = sum(job.kind == "cell" for job in left)
        fronts = [job.subject for job in left if job.kind == "front"]
        of_fronts = sum(len(self.targets) + len(self._stages(name)) for name in fronts)
        planned = len(self.found) + cells + of_fronts
        running = tuple(map(str, self.running.values()))
        self.progress(Event(running, len(self.found), planned, verdicts))


def _killer(job: Job) -> tuple[Verdict, ...]:
    """What is said of a job that takes its workers with it."""
    text = "a worker process died (killed, or out of memory)"
    return () if job.kind == "target" else (failed(job, text, "worker died"),)


def _said_by(
    worker: str, lacking: str | None, missing: str | None
) -> tuple[str | None, str | None]:
    return lacking and f"{worker}: {lacking}", missing and f"{worker}: {missing}"


def _urgency(job: Job) -> tuple[object, ...]:
    """Targets, then fronts, then cells, subject by subject, so that a worker can keep the one it has loaded."""
    cost = tuple(-part for part in job.cost)
    return ("target", "front", "cell").index(job.kind), cost[:1], job.subject, cost[1:]


def _slowness(target: Target) -> float:
    """A guess at how much longer a target takes than the host, optimised."""
    factor = 12.0 if target.machine.runner else 1.0
    if target.guarded:
        factor *= 6.0
    return factor if any(flag in target.flags for flag in ("-O2", "-O3", "-Os")) else factor * 4.0
