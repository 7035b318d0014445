"""Tells `recording` which test is running, so that a case knows its name."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.ops.recording import running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    token = running.set(item)
    try:
        return (yield)
    finally:
        running.reset(token)
