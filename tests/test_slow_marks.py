"""What is marked slow is left out, and that is said; named, or with --slow, it runs."""

from __future__ import annotations

import re
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
LEFT_OUT = "slow tests were left out: --slow runs them too"


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
    printed = run_pytest(tmp_path, *arguments.split())
    assert f"{passed} passed" in printed
    assert (f"2 {LEFT_OUT}" in printed) == is_said, printed


def test_a_share_of_them_every_day(tmp_path: Path) -> None:
    """In three days each has run once, with workers or without."""
    ran: list[str] = []
    for day, workers in ((19_999, "-n0"), (20_000, "-n2"), (20_001, "-n0")):
        printed = run_pytest(tmp_path, ".", "-rp", "--slow-share", "3", workers, day=day)
        ran += re.findall(r"PASSED .*::(test_\S+)", printed)
    assert sorted(ran) == [*["test_quick"] * 3, "test_slow[0]", "test_slow[1]"]


@pytest.mark.parametrize("share", ["0", "-1", "x"])
def test_no_share(share: str, tmp_path: Path) -> None:
    assert "--slow-share: invalid" in run_pytest(tmp_path, "--slow-share", share, code=4)


def run_pytest(folder: Path, *arguments: str, day: int | None = None, code: int = 0) -> str:
    """What pytest prints on the tests above, with the hooks of this repository."""
    today = "" if day is None else f"import time; time.time = lambda: {day * 86_400 + 1.5}\n"
    hooks = f"from tests.conftest import {', '.join(HOOKS)}\n"
    (folder / "conftest.py").write_text(today + hooks)
    (folder / "test_it.py").write_text(TESTS)
    options = ["-q", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", "--rootdir", ROOT]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *map(str, options), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
