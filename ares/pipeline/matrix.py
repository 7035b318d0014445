"""Subjects x targets: which cells there are, which need computing, and the processes that compute them.

A *subject* is a network of the zoo or a suite of operations' cases. Work comes in jobs: preparing a target (the library
of the runtime is built), a subject's front (the stages before the C), and a cell (one subject on one target). They
are spread over processes, slowest first, as soon as what they need is there. Fronts and cells that passed before on
the same content are not computed again (`ares.pipeline.front`).

Workers are separate interpreters: a crash of one is that job's failure and nobody else's, and so is an exception that
nobody expected.
"""

from __future__ import annotations

import errno
import os
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache

from ares.emit import runtime_files
from ares.ir import Project
from ares.pipeline import expectations
from ares.pipeline.catalogue import SUITE_STAGES, ZOO_STAGES, subject_files, suite_names, zoo_paths
from ares.pipeline.front import (
    KEPT_OUTCOMES,
    Front,
    KeptSubject,
    Store,
    cell_key,
    front_key,
    look_again,
)
from ares.pipeline.sampling import Sample
from ares.pipeline.subject import Subject
from ares.pipeline.workers import Workers, end_workers
from ares.resources import checkout_dir
from ares.toolchain import BuildFailure, Target, ToolchainError, prepare, select
from ares.toolchain.process import side_by_side
from ares.verdict import Outcome, Verdict, shared_facets


@dataclass(frozen=True, slots=True)
class Matrix:
    """All verdicts, in the order of subjects and stages; `seconds`: the time that the run took."""

    verdicts: tuple[Verdict, ...]
    seconds: float
    targets: tuple[Target, ...] = ()

    def having(self, outcome: Outcome) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.outcome is outcome)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        return self.having(Outcome.FAIL)

    @property
    def not_run(self) -> tuple[Verdict, ...]:
        return self.having(Outcome.NOT_RUN)

    @property
    def stages(self) -> tuple[str, ...]:
        order = [*ZOO_STAGES, *(stage_of(target) for target in self.targets)]
        return tuple(sorted({verdict.stage for verdict in self.verdicts}, key=order.index))

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(verdict.network for verdict in self.verdicts))

    @property
    def patterns(self) -> Mapping[str, tuple[str, ...]]:
        """Subject -> what the targets share on which it fails, and no target has on which it is exact."""
        facets = {stage_of(target): target.facets for target in self.targets}
        found = {}
        for name in self.subjects:
            cells = [v for v in self.verdicts if v.network == name and v.stage in facets]
            shared = shared_facets(
                [facets[v.stage] for v in cells if v.outcome is Outcome.FAIL],
                [facets[v.stage] for v in cells if v.outcome is Outcome.PASS],
            )
            if shared:
                found[name] = tuple(shared)
        return found


@dataclass(frozen=True, slots=True)
class Event:
    """What a run tells while it goes on: the jobs that run, how many verdicts there are and will be, the new ones.

    `told`: a step that takes long, in words.
    """

    running: tuple[str, ...]
    done: int
    planned: int
    verdicts: tuple[Verdict, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """`kind`: "target", "front" or "cell"; the names that it is about. The costly ones first.

    `key` and `cell`: of the front and of the verdict, empty where nothing is kept. `only_case`: as for
    `Subject.target`; `since`: as for `build`.
    """

    kind: str
    subject: str = ""
    target: str = ""
    key: str = ""
    cell: str = ""
    only_case: int | None = None
    cost: tuple[float, ...] = ()
    since: float = 0.0

    def __str__(self) -> str:
        return {
            "target": f"preparing {self.target}",
            "front": self.subject,
            "cell": f"{self.subject} {self.target}",
        }[self.kind]


def stage_of(target: Target) -> str:
    """The stage of a target's cells."""
    return f"c[{target.name}]"


def run_matrix(
    names: Sequence[str],
    targets: Sequence[Target],
    progress: Callable[[Event], None],
    jobs: int | None = None,
    *,
    sample: Sample | None = None,
    fresh: bool = False,
) -> Matrix:
    """Every stage of every subject, on every target. `jobs` defaults to the number of cores.

    `sample` leaves out large networks on some targets, by its rule; None runs everything. `fresh`: nothing of an
    earlier run is taken over, neither verdicts nor built programs (zig's C libraries are zig's own affair).
    """
    start = time.monotonic()
    run = _Run(names, targets, progress, sample or Sample(None, names), fresh)
    run.execute(max(1, jobs or os.cpu_count() or 1))
    return Matrix(run.verdicts(), time.monotonic() - start, tuple(targets))


class _Run:
    """What is known and what is left to do."""

    def __init__(
        self,
        names: Sequence[str],
        targets: Sequence[Target],
        progress: Callable[[Event], None],
        sample: Sample,
        fresh: bool,
    ) -> None:
        self.names = names
        self.targets = targets
        self.progress = progress
        self.sample = sample
        self.fresh = fresh
        self.since = time.time() if fresh else 0.0
        self.store = Store()
        self.found: dict[tuple[str, str], Verdict] = {}
        self.unprepared: set[str] = set()
        self.waiting: list[Job] = []
        self.running: dict[Future[tuple[Verdict, ...]], Job] = {}
        self.suspects: list[Job] = []

    def verdicts(self) -> tuple[Verdict, ...]:
        """All, in the order of subjects, then stages, then targets."""
        targets = [stage_of(target) for target in self.targets]
        return tuple(
            self.found[name, stage]
            for name in self.names
            for stage in (*_stages(name), *targets)
            if (name, stage) in self.found
        )

    # The order of work.

    def execute(self, workers: int) -> None:
        self.missing = missing_tools(self.targets)
        self.unprepared = {name for name, reason in self.missing.items() if reason is None}
        for name in self.names:
            self._plan_subject(name)
        busy = {job.target for job in self.waiting if job.kind == "cell"}
        anything = any(job.kind == "front" for job in self.waiting)
        self.waiting += [
            Job("target", target=target.name, cost=(_slowness(target),), since=self.since)
            for target in self.targets
            if target.name in self.unprepared and (anything or target.name in busy)
        ]
        if self.waiting:
            self._work(workers)

    def _work(self, workers: int) -> None:
        pool: Executor = Workers(workers)
        try:
            while self.waiting or self.running or self.suspects:
                whole = self._submit(pool, workers)
                done, _ = wait(self.running, return_when=FIRST_COMPLETED)
                for future in done:
                    if not isinstance(future.exception(), BrokenProcessPool):
                        self._finish(self.running.pop(future), future.result())
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
        self.running[pool.submit(work, job)] = job
        self._tell()

    def _ready(self) -> list[Job]:
        return [j for j in self.waiting if j.kind != "cell" or j.target not in self.unprepared]

    def _worker_died(self) -> None:
        victims = list(self.running.values())
        self.running.clear()
        if self.suspects and victims == self.suspects[:1]:
            job = self.suspects[0]
            text = "a worker process died (killed, or out of memory)"
            self._finish(job, () if job.kind == "target" else (_failed(job, text, "worker died"),))
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
            verdicts = tuple(expectations.judge(verdict, job.target) for verdict in verdicts)
            self._record(verdicts)
        self._tell(verdicts)

    # What there is to do.

    def _plan_subject(self, name: str) -> None:
        key = front_key(name, subject_files(name))
        front = None if self.fresh else self.store.front(key)
        if front is not None:
            self._record(front.verdicts)
            self._plan_cells(name, key, front.verdicts)
        else:
            weight = sum(path.stat().st_size for path in subject_files(name))
            self.waiting.append(Job("front", name, key=key, cost=(weight,), since=self.since))

    def _plan_cells(self, name: str, key: str, verdicts: Sequence[Verdict]) -> None:
        if any(v.outcome is Outcome.FAIL and v.stage in ("check", "extract") for v in verdicts):
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
            cell = "" if front is None else cell_key(front, subject_files(name), target, case)
            kept = self.store.verdict(cell) if cell and not self.fresh else None
            judged = expectations.judge(kept, target.name) if kept is not None else None
            if judged is not None and judged.outcome in KEPT_OUTCOMES:
                self._record([judged])
            else:
                cost = (float(macs), _slowness(target))
                of_front = key if front else ""
                self.waiting.append(
                    Job("cell", name, target.name, of_front, cell, case, cost, self.since)
                )

    def _settled(self, name: str, front: Front | None, target: Target) -> Verdict | None:
        """The verdict of a cell that will not run."""
        stage = stage_of(target)
        reason = self.missing[target.name]
        if reason is not None:
            return Verdict(name, stage, Outcome.NOT_RUN, reason, "missing tool")
        if front is None:
            return None
        out = self.sample.left_out(name, target, front.macs)
        return None if out is None else Verdict(name, stage, Outcome.LEFT_OUT, out, "sampled")

    def _record(self, verdicts: Iterable[Verdict]) -> None:
        self.found |= {(verdict.network, verdict.stage): verdict for verdict in verdicts}

    def _tell(self, verdicts: tuple[Verdict, ...] = ()) -> None:
        left = {*self.waiting, *self.running.values(), *self.suspects}
        cells = sum(job.kind == "cell" for job in left)
        fronts = [job.subject for job in left if job.kind == "front"]
        of_fronts = sum(len(self.targets) + len(_stages(name)) for name in fronts)
        planned = len(self.found) + cells + of_fronts
        running = tuple(map(str, self.running.values()))
        self.progress(Event(running, len(self.found), planned, verdicts))


def _stages(name: str) -> tuple[str, ...]:
    return SUITE_STAGES if name in suite_names() else ZOO_STAGES


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


def missing_tools(targets: Sequence[Target]) -> dict[str, str | None]:
    """Why a target cannot be used, by name; compilers are tried side by side."""
    with side_by_side(os.cpu_count() or 1) as pool:
        reasons = pool.map(lambda target: target.missing(), targets)
        return dict(zip((target.name for target in targets), reasons, strict=True))


# What happens in the workers.


def work(job: Job) -> tuple[Verdict, ...]:
    """Do a job, in a worker; its verdicts."""
    if job.kind == "target":
        _prepare_target(job)
        return ()
    try:
        return _front(job) if job.kind == "front" else (_cell(job),)
    except Exception as error:  # noqa: BLE001
        # Broad, and nothing is swallowed: the job FAILS with the whole traceback, and two thousand others go on.
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            text, fault = f"no space left on the disk: {error.filename or error}", "disk full"
        else:
            text, fault = f"{type(error).__name__}: {error}\n{traceback.format_exc()}", "exception"
        return (_failed(job, text, fault),)


def _failed(job: Job, text: str, fault: str) -> Verdict:
    """The verdict of a job that could not be done."""
    stage = f"c[{job.target}]" if job.kind == "cell" else _stages(job.subject)[0]
    repeat = f"ares networks {job.subject}" + (f" --target {job.target}" if job.target else "")
    text = f"{job}: {text.rstrip()}\nto repeat it: {repeat}"
    return Verdict(job.subject, stage, Outcome.FAIL, text, fault)


def _prepare_target(job: Job) -> None:
    (target,) = select([job.target])
    shared = Project("runtime", runtime_files(), (), "", (), (), ())
    try:
        prepare(shared, target, since=job.since)
    except (BuildFailure, ToolchainError, OSError):
        # Every cell of the target meets the same fault, and reports it.
        return


def _front(job: Job) -> tuple[Verdict, ...]:
    subject = _from_the_beginning(job.subject)
    verdicts = tuple(subject.stage(stage) for stage in subject.STAGES)
    if all(verdict.outcome is Outcome.PASS for verdict in verdicts):
        front = Front.of(subject, verdicts)
        # Files that were changed meanwhile are not what the key says.
        look_again()
        if front_key(job.subject, subject_files(job.subject)) == job.key:
            Store().keep_front(job.key, front, subject.graph)
    return verdicts


def _cell(job: Job) -> Verdict:
    (target,) = select([job.target])
    subject = _subject(job.subject, job.key)
    subject.since = job.since
    verdict = subject.target(target, job.only_case)
    if job.cell:
        store = Store()
        front = store.front(job.key)
        if expectations.judge(verdict, target.name).outcome not in KEPT_OUTCOMES:
            store.forget_verdict(job.cell)
        elif front is not None:
            # What was compiled counts, and what judged it: both may have been changed since the run was planned.
            look_again()
            built = front.having_built(subject.project_for(target), target)
            if job.cell == cell_key(built, subject_files(job.subject), target, job.only_case):
                store.keep_verdict(job.cell, verdict)
    return verdict


@lru_cache(maxsize=1)
def _subject(name: str, key: str) -> Subject:
    """A subject ready for targets: a network from its kept front, if there is one, without torch."""
    store = Store()
    front = store.front(key) if key else None
    if front is None or name in suite_names():
        return _from_the_beginning(name)
    golden = checkout_dir() / "golden" / name
    return KeptSubject(name, store.graph(key), golden, front, lambda: _from_the_beginning(name))


@lru_cache(maxsize=1)
def _from_the_beginning(name: str) -> Subject:
    # Imported here: torch is needed only where a model is read.
    if name in suite_names():
        from ares.pipeline.suite import SuiteSubject

        return SuiteSubject(checkout_dir() / "golden" / name)
    from ares.pipeline.network import NetworkSubject

    return NetworkSubject(zoo_paths(name))
