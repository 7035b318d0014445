"""The pytest files of a module, run in this process until the first test fails, or for a while."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path, PurePosixPath
from typing import Any

# Rooms whose tests lie in a folder of another name.
_FOLDERS = {"witness": "witness"}
# Few tests have a helper's name: those of the operations that import it stand for it.
_MOST = 4


def files_of_tests(file: str, root: Path) -> list[str]:
    """The files named after a module, then those of its importers, then its room's folder."""
    path = PurePosixPath(file)
    room = _room(path)
    stem = path.stem.lstrip("_")
    folder = root / "tests" / room
    patterns = (f"test_{stem}.py", f"test_*{stem}*.py", f"test_{stem[:-1]}*.py")
    named = [each for pattern in patterns for each in sorted(folder.glob(pattern))]
    importers = re.compile(rf"ares\.{room}\.{re.escape(path.stem)}\b")
    for other in sorted((root / "ares" / room).glob("*.py")):
        if path.stem != other.stem and importers.search(other.read_text(encoding="utf-8")):
            named += sorted(folder.glob(f"test_{other.stem.lstrip('_')}.py"))[:1]
    found = [each.relative_to(root).as_posix() for each in dict.fromkeys(named)]
    return [*found[:_MOST], f"tests/{room}"]


def _room(path: PurePosixPath) -> str:
    first = path.parts[1]
    if first.startswith("witness"):
        return _FOLDERS["witness"]
    return first if len(path.parts) > 2 else path.stem


def failing(root: Path, files: list[str], until: float) -> tuple[str, str] | None:
    """The first test that fails, and its words; None where none does, until then (seconds of time.monotonic)."""
    import pytest

    found: list[tuple[str, str]] = []

    class Watch:
        """Stops at the first failure, and when the time is up."""

        def pytest_runtest_setup(self, item: Any) -> None:
            if time.monotonic() > until:
                item.session.shouldstop = "the time is up"

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                found.append((report.nodeid, _words(report)))

        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                found.append((report.nodeid, _words(report)))

    os.chdir(root)
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow"]
    for file in files:
        code = pytest.main([*options, file], plugins=[Watch()])
        if found:
            return found[0]
        if code not in (0, 1, 2, 5):
            raise RuntimeError(f"pytest {file} ended with {code}")
        if time.monotonic() > until:
            break
    return None


def _words(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr)
