"""Runs of the matrix in this process, and what holds of each of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ares.pipeline.jobs import Job
from ares.pipeline.matrix import Event, Matrix
from ares.pipeline.schedule import run_matrix
from ares.toolchain import Target
from ares.verdict import Verdict


class Events(list[Event]):
    """What a run told, checked as it comes."""

    def __call__(self, event: Event) -> None:
        assert 0 <= event.done <= event.planned
        if self:
            assert event.done >= self[-1].done
        self.append(event)

    @property
    def told(self) -> list[Verdict]:
        return [verdict for event in self for verdict in event.verdicts]


class HerePool:
    """Does the work in this process, at once."""

    def submit(self, work: Callable[[Job], Any], job: Job) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(job))
        return future

    def shutdown(self, **_: Any) -> None:
        pass


def run(*targets: Target, zoo: Any, names: tuple[str, ...], jobs: int = 1, **more: Any) -> Matrix:
    """`run_matrix`, and what holds of every run."""
    events = Events()
    found = run_matrix(zoo, names, targets, events, jobs, **more)
    if events:
        assert events[-1].done == events[-1].planned == len(found.verdicts)
        assert not events[-1].running
    assert found.targets == targets
    assert found.seconds >= 0
    return found
