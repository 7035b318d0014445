"""What is marked slow is left out, and that is said; named, or with --slow, it runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOOKS = (
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_terminal_summary",
    "pytest_testnodedown",
)
TESTS = """
import pytest

def test_quick(): pass

@pytest.mark.slow
@pytest.mark.parametrize("number", range(2))
def test_slow(number): pass
"""
LEFT_OUT = "2 slow tests were left out: --slow runs them too, as CI does"


@pytest.mark.parametrize(
    ("arguments", "passed", "is_said"),
    [
        (".", 1, True),
        (". -n 1", 1, True),
        (". --slow", 3, False),
        (". -m slow", 2, False),
        ("test_it.py", 3, False),
        ("test_it.py -n 1", 3, False),
        ("test_it.py::test_slow[1]", 1, False),
        (". test_it.py::test_slow", 3, False),
        (". -k test_quick", 1, True),
    ],
)
def test_what_is_left_out(arguments: str, passed: int, is_said: bool, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(f"from tests.conftest import {', '.join(HOOKS)}\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    options = ["-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *map(str, options), *arguments.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{passed} passed" in done.stdout
    assert (LEFT_OUT in done.stdout) == is_said, done.stdout
