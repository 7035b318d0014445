"""Work that ends badly, done in real worker processes: what a job does is the name of its target or subject."""

from __future__ import annotations

import os
import signal
import time

from ares.pipeline.jobs import Job
from ares.verdict import STAGES, Outcome, Verdict


def work(job: Job) -> tuple[Verdict, ...]:
    """In place of `ares.pipeline.jobs.work`."""
    if job.kind == "target":
        _do(job.target.removeprefix("prepare-") if job.target.startswith("prepare-") else "")
        return ()
    if job.kind == "front":
        _do(job.subject)
        return tuple(Verdict(job.subject, stage.name, Outcome.PASS) for stage in STAGES)
    _do(job.target)
    return (Verdict(job.subject, f"c[{job.target}]", Outcome.PASS, f"by {os.getpid()}"),)


def _do(what: str) -> None:
    if what.startswith("dies"):
        time.sleep(0.3)  # so that the other job is in flight
        os._exit(9)
    if what.startswith("killed"):
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    if what.startswith("slow"):
        time.sleep(1.0)
