"""What happens in the workers of a run: a target is prepared, a front or a cell is judged and kept.

Workers are separate interpreters: a crash of one is that job's failure and nobody else's, and so is an exception that
nobody expected. One on another machine has a cache and a checkout of its own, so fronts travel with what needs them.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from ares.emit import runtime_files
from ares.ir import Graph, Project
from ares.pipeline import expectations
from ares.pipeline.catalogue import Zoo
from ares.pipeline.compiled import RunSettings
from ares.pipeline.front import Front, KeptSubject, Store
from ares.pipeline.keys import Keys
from ares.pipeline.subject import Subject
from ares.resources import checkout_dir
from ares.toolchain import BuildFailure, ToolchainError, missing_tools, prepare, select
from ares.verdict import Outcome, Verdict

Kept = tuple[Front, Graph]


@dataclass(frozen=True, slots=True)
class Job:
    """`kind`: "target", "front" or "cell"; the names that it is about. The costly ones first.

    `run` names the run that it is part of: what a worker remembers, it remembers within one. `key` and `cell`: of the
    front, and of the verdict, which is empty where nothing is kept. `stage`: the one that fails when the job itself
    does. `only_case`: as for `Subject.target`; `since`: as for `build`.
    """

    kind: str
    run: str
    zoo: Zoo
    since: float
    subject: str = ""
    target: str = ""
    stage: str = ""
    key: str = ""
    cell: str = ""
    only_case: int | None = None
    cost: tuple[float, ...] = ()

    def __str__(self) -> str:
        return {
            "target": f"preparing {self.target}",
            "front": self.subject,
            "cell": f"{self.subject} {self.target}",
        }[self.kind]


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
        return (failed(job, text, fault),)


def work_elsewhere(job: Job, kept: Kept | None) -> tuple[tuple[Verdict, ...], Kept | None]:
    """The same on another machine: `kept`, the front that a cell needs; the verdicts, and the front that was made.

    Raises ToolchainError where the subject's files are not those that the run was planned with.
    """
    job = replace(job, zoo=Zoo(checkout_dir()))
    if job.subject and Keys().front(job.subject, job.zoo.files(job.subject)) != job.key:
        raise ToolchainError(f"the checkout {job.zoo.root} has other files of {job.subject}")
    store = Store()
    if kept is not None and store.front(job.key) is None:
        store.keep_front(job.key, *kept)
    verdicts = work(job)
    front = store.front(job.key) if job.kind == "front" else None
    return verdicts, None if front is None else (front, store.graph(job.key))


def hindrances(names: Sequence[str]) -> Mapping[str, tuple[str | None, str | None]]:
    """Why targets cannot be used on this machine: what its processor lacks, and the tool that is missing."""
    targets = select(names)
    missing = missing_tools(targets)
    return {target.name: (target.lacking(), missing[target.name]) for target in targets}


def failed(job: Job, text: str, fault: str) -> Verdict:
    """The verdict of a job that could not be done."""
    repeat = f"ares networks {job.subject}" + (f" --target {job.target}" if job.target else "")
    text = f"{job}: {text.rstrip()}\nto repeat it: {repeat}"
    return Verdict(job.subject, job.stage, Outcome.FAIL, text, fault, target=job.target)


def _prepare_target(job: Job) -> None:
    (target,) = select([job.target])
    shared = Project("runtime", runtime_files(), (), "", (), (), ())
    try:
        prepare(shared, target, since=job.since)
    except (BuildFailure, ToolchainError, OSError):
        # Every cell of the target meets the same fault, and reports it.
        return


def _front(job: Job) -> tuple[Verdict, ...]:
    subject = _from_the_beginning(job.run, job.zoo, job.subject, job.key)
    verdicts = tuple(map(subject.stage, subject.stages()))
    if all(verdict.outcome is Outcome.PASS for verdict in verdicts):
        front = Front.of(subject, verdicts)
        # Files that were changed meanwhile are not what the key says.
        if Keys().front(job.subject, job.zoo.files(job.subject)) == job.key:
            Store().keep_front(job.key, front, subject.graph)
    return verdicts


def _cell(job: Job) -> Verdict:
    (target,) = select([job.target])
    subject = _subject(job.run, job.zoo, job.subject, job.key)
    verdict = subject.target(target, job.only_case, RunSettings(since=job.since))
    if job.cell:
        store = Store()
        front = store.front(job.key)
        if not expectations.judge(verdict).outcome.facts.kept:
            store.forget_verdict(job.cell)
        elif front is not None:
            # What was compiled counts, and what judged it: both may have been changed since the run was planned.
            built = front.having_built(subject.project_for(target), target)
            if job.cell == Keys().cell(built, job.zoo.files(job.subject), target, job.only_case):
                store.keep_verdict(job.cell, verdict)
    return verdict


def subject_of(zoo: Zoo, name: str) -> Subject:
    """A subject as its files are now, from its kept front where there is one, which passed; then without torch."""
    return _subject("", zoo, name, Keys().front(name, zoo.files(name)))


# A worker keeps the subject that it had last. The front's key stands for the content of all its files.


@lru_cache(maxsize=1)
def _subject(run: str, zoo: Zoo, name: str, key: str) -> Subject:
    """A subject ready for targets: a network from its kept front, if there is one, without torch."""
    store = Store()
    front = store.front(key)
    if front is None or zoo.is_suite(name):
        return _from_the_beginning(run, zoo, name, key)
    golden = zoo.paths(name).golden
    origin = partial(_from_the_beginning, run, zoo, name, key)
    return KeptSubject(name, store.graph(key), golden, front, origin)


@lru_cache(maxsize=1)
def _from_the_beginning(_run: str, zoo: Zoo, name: str, _key: str) -> Subject:
    # Imported here: torch is needed only where a model is read.
    if zoo.is_suite(name):
        from ares.pipeline.suite import SuiteSubject

        return SuiteSubject(zoo.golden / name)
    from ares.pipeline.network import NetworkSubject

    return NetworkSubject(zoo.paths(name))
