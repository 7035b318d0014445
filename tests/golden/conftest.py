"""A suite on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.suites import a_suite, write_suite


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_suite(tmp_path, a_suite())
