"""Your model's C in your own tests: a difference fails the test, with the whole report as its message.

    from ares.testing import assert_exact

    def test_the_c_is_what_the_model_means():
        assert_exact(trained_model(), test_images[:8])

Needs pytest. With `pytest_plugins = ["ares.testing"]` in a conftest, the fixture `exactly_in_c` does the same, names
the network after the test and keeps what fails in its `tmp_path`. PYTEST_DONT_REWRITE: there is nothing to rewrite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ares

if TYPE_CHECKING:
    from torch import nn

    from ares.door import Report, Values, Verification
    from ares.toolchain import Target

__all__ = ["assert_compatible", "assert_exact"]


def assert_compatible(
    model: nn.Module,
    example_inputs: Values | Sequence[Values] | None = None,
    *,
    strict_warnings: bool = False,
    name: str = "model",
) -> Report:
    """Fail unless ARES can turn `model` into C; see `ares.check`, whose report the failure shows.

    `strict_warnings`: fail also on warnings, such as that of a model that was never calibrated.
    """
    __tracebackhide__ = True
    report = ares.check(model, example_inputs, name=name)
    if not report.compatible or (strict_warnings and report.warnings):
        raise AssertionError(f"{report.summary}\n{report}")
    return report


def assert_exact(
    model: nn.Module,
    example_inputs: Values | Sequence[Values],
    *,
    targets: str | Target | Sequence[str | Target] | None = None,
    cases: int | None = None,
    inputs: Values | Sequence[Values] | None = None,
    name: str = "model",
    jobs: int | None = None,
    out: str | PathLike[str] | None = None,
    require_all_targets: bool = False,
) -> Verification:
    """Fail unless the C computes the very integers of `model` on all targets; see `ares.verify` for what it is given.

    `require_all_targets`: a target that cannot run here is a failure. The failure shows the whole report: stage, layer,
    element, whose fault it is. Raises AresError, as `ares.verify` does, where there is nothing to judge.
    """
    __tracebackhide__ = True
    result = ares.verify(
        model,
        example_inputs,
        targets=targets,
        cases=cases,
        inputs=inputs,
        name=name,
        jobs=jobs,
        out=out,
    )
    if not result.passed:
        raise AssertionError(f"{result.summary}\n{result}")
    absent = [verdict.stage for verdict in result.matrix.not_run]
    if require_all_targets and absent:
        raise AssertionError(f"NOT RUN: {', '.join(absent)}\n{result}")
    return result


@pytest.fixture
def exactly_in_c(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Verification]:
    """`assert_exact` for this test: the network bears its name, a failure is kept in `tmp_path / "ares-failure"`."""
    return partial(assert_exact, name=request.node.name, out=tmp_path / "ares-failure")
