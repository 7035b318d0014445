"""A network's file is its test: every stage and every target of the network is one item.

`pytest tests/test_networks/test_4_resnet_basic.py` collects `check`, `extract`, `reference`, `torch` and one
`c[<target>]` per default target; `ARES_TARGETS='s390x-*,m4-*' pytest ...` chooses others, by names or patterns with
commas between. A target that cannot run here is skipped with its reason. A few networks are ordinary tests; the others
are marked slow (`ares networks` runs all of them).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from ares.pipeline.expectations import judge
from ares.pipeline.network import NetworkSubject
from ares.toolchain import Target, ToolchainError, default_targets, select
from ares.verdict import STAGES, Verdict
from tests.checkout import ZOO

FOLDER = Path(__file__).parent
# Small, and between them convolutions, joins, attention and a state space.
SAMPLE = ("test_3_mlp", "test_4_resnet_basic", "test_13_transformer_simple", "test_18_mamba_block")


class VerdictFailure(Exception):
    """A verdict that is no pass; its text is the whole report."""


class StageItem(pytest.Item):
    """One stage or target of one network."""

    def __init__(self, *, run: Any, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.run = run
        # For zig a C library has to be built first: half a minute.
        if self.path.stem not in SAMPLE or "zig" in self.name:
            self.add_marker(pytest.mark.slow)

    def runtest(self) -> None:
        verdict: Verdict = self.run(_session(self.path.stem))
        if not verdict.outcome.facts.judged:
            pytest.skip(f"{verdict.stage}: {verdict.outcome.value}: {verdict.message}")
        if verdict.outcome.facts.fails:
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
            yield StageItem.from_parent(
                self, name=stage.name, run=lambda s, stage=stage: s.stage(stage)
            )
        for target in _targets():
            yield StageItem.from_parent(
                self,
                name=target.stage,
                run=lambda s, target=target: judge(s.target(target)),
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
    return NetworkSubject(ZOO.paths(name))


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
