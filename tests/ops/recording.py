"""Unit cases as data: every case that the tests of this folder check is stored under `golden/ops_*`.

`hand_over` gets each case. In an ordinary run it demands that the case is stored, with exactly this Graph, these
inputs and these answers. `record_operations`, which `tools/regenerate_golden.py` calls, runs the tests with a
`Recorder` instead: cases are collected, their C is not built. Tests in which Hypothesis draws are left alone: they
have other cases in every run.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ares.golden import GoldenError
from ares.golden.operations import OperationCase, as_typed, stored_digests, suite_of
from ares.ir import Graph

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
PREFIX = "test_"

# The test that is running; conftest.py sets it.
running: ContextVar[pytest.Item | None] = ContextVar("running", default=None)


class Recorder:
    """A pytest plugin that collects the cases of the tests that run, and what failed."""

    def __init__(self) -> None:
        self.cases: list[OperationCase] = []
        self.failures: list[str] = []

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not is_drawn(item)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            self.failures.append(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failures.append(report.nodeid)


def record_operations(folder: Path = FOLDER) -> tuple[OperationCase, ...]:
    """The cases of all tests of the folder, in their order. Raises GoldenError when one fails or is skipped."""
    recorder = Recorder()
    # One process, nothing written into the checkout, and no case left out for its test being slow.
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={ROOT}"]
    options += ["-m", "slow or not slow"]
    with contextlib.redirect_stdout(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        code = pytest.main([*options, str(folder)], plugins=[recorder])
    if code != pytest.ExitCode.OK or recorder.failures:
        first = recorder.failures[0] if recorder.failures else f"pytest ended with {code!s}"
        raise GoldenError(
            f"operations: nothing is recorded unless every test passes; first: {first}; see pytest {folder}"
        )
    return tuple(recorder.cases)


def is_drawn(item: pytest.Item) -> bool:
    """Whether Hypothesis draws the cases of a test."""
    return bool(getattr(getattr(item, "obj", None), "is_hypothesis_test", False))


def recorder_of(item: pytest.Item | None) -> Recorder | None:
    """The recorder of this run of pytest, if it records."""
    plugins = item.config.pluginmanager.get_plugins() if item else ()
    return next((plugin for plugin in plugins if isinstance(plugin, Recorder)), None)


def is_recording() -> bool:
    return recorder_of(running.get()) is not None


def with_slow() -> bool:
    """Whether this run of pytest has --slow."""
    item = running.get()
    return item is not None and bool(item.config.getoption("slow", False))


def hand_over(
    graph: Graph,
    inputs: Sequence[np.ndarray],
    tensors: Mapping[str, np.ndarray],
    judged: Sequence[str],
) -> None:
    """Record a case, or demand that it is stored. `tensors`: all that the Graph makes; `judged`: by the oracle."""
    item = running.get()
    if item is None or is_drawn(item):
        return
    case = OperationCase(
        item.path.stem.removeprefix(PREFIX),
        getattr(item, "originalname", item.name),
        item.callspec.id if hasattr(item, "callspec") else "",
        graph,
        tuple(
            as_typed(graph, name, array) for name, array in zip(graph.inputs, inputs, strict=True)
        ),
        {
            tensor.name: as_typed(graph, tensor.name, tensors[tensor.name])
            for _, tensor in graph.produced()
        },
        tuple(judged),
    )
    recorder = recorder_of(item)
    if recorder is not None:
        recorder.cases.append(case)
        return
    suite = suite_of(case.operation)
    if case.digest not in _stored(suite):
        pytest.fail(
            f"golden/{suite} does not hold this case ({case.key}): run python tools/regenerate_golden.py ops",
            pytrace=False,
        )


@cache
def _stored(suite: str) -> frozenset[str]:
    try:
        return stored_digests(ROOT / "golden" / suite)
    except GoldenError as error:
        pytest.fail(str(error), pytrace=False)
