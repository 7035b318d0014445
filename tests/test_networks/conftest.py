"""A network's file is its test: every stage and every target of the network is one item.

`pytest tests/test_networks/test_4_resnet_basic.py` collects `check`, `extract`, `reference`, `torch` and one
`c[<target>]` per default target; `ARES_TARGETS='s390x-*,m4-*' pytest ...` chooses others, by names or patterns with
commas between. A target that cannot run here is skipped with its reason.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from ares.pipeline.catalogue import zoo_paths
from ares.pipeline.expectations import judge
from ares.pipeline.network import STAGES, NetworkSubject
from ares.toolchain import Target, ToolchainError, default_targets, select
from ares.verdict import Outcome, Verdict

FOLDER = Path(__file__).parent


class VerdictFailure(Exception):
    """A verdict that is no pass; its text is the whole report."""


class StageItem(pytest.Item):
    """One stage or target of one network."""

    def __init__(self, *, run: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.run = run

    def runtest(self) -> None:
        verdict: Verdict = self.run(_session(self.path.stem))
        if verdict.outcome in (Outcome.NOT_RUN, Outcome.LEFT_OUT):
            pytest.skip(f"{verdict.stage}: {verdict.outcome.value}: {verdict.message}")
        if verdict.outcome is Outcome.FAIL:
            raise VerdictFailure(verdict.message)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, VerdictFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.stem}::{self.name}"


class NetworkFile(pytest.File):
    """A file that holds a network."""

    def collect(self) -> Iterable[pytest.Item]:
        for stage in STAGES:
            yield StageItem.from_parent(self, name=stage, run=lambda s, stage=stage: s.stage(stage))
        for target in _targets():
            yield StageItem.from_parent(
                self,
                name=f"c[{target.name}]",
                run=lambda s, target=target: judge(s.target(target), target.name),
            )


def _targets() -> tuple[Target, ...]:
    chosen = os.environ.get("ARES_TARGETS")
    try:
        return select(chosen.split(",")) if chosen else default_targets()
    except ToolchainError as error:
        raise pytest.UsageError(f"ARES_TARGETS: {error}") from None


@lru_cache(maxsize=2)
def _session(name: str) -> NetworkSubject:
    """One session serves all items of a network; xdist keeps a file's items together (--dist loadfile)."""
    return NetworkSubject(zoo_paths(name))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.parent == FOLDER and file_path.match("test_*.py"):
        return NetworkFile.from_parent(parent, path=file_path)
    return None


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Collector | None:
    """Keep pytest's own collector away: a network's classes and functions are no tests."""
    if module_path.parent == FOLDER and module_path.match("test_*.py"):
        return _Nothing.from_parent(parent, path=module_path)
    return None


class _Nothing(pytest.File):
    def collect(self) -> Iterable[pytest.Item]:
        return ()
