"""The pytest files of a module, and tests run in this process until the first fails."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ares.mutator.limits import at_most, from_now_at_most
from ares.mutator.reach import OPTIONS, Test

ROOMS = ("numerics", "ops", "extract", "plan", "emit", "verdict", "golden", "witness")
"""The folders of tests that are asked."""
# Rooms whose tests lie in a folder of another name.
_FOLDERS = {"witness": "witness"}
# Seconds until the first test begins, and between two.
_BETWEEN = 60.0
# Few tests have a helper's name: those of the operations that import it stand for it.
_MOST = 4


def files_of_tests(file: str, root: Path) -> list[str]:
    """The files named after a module, then those of its importers in its room."""
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
    return found[:_MOST]


def all_files(root: Path) -> list[str]:
    """The pytest files of all rooms."""
    found = [path for room in ROOMS for path in (root / "tests" / room).rglob("test_*.py")]
    return sorted(path.relative_to(root).as_posix() for path in found)


def _room(path: PurePosixPath) -> str:
    first = path.parts[1]
    if first.startswith("witness"):
        return _FOLDERS["witness"]
    return first if len(path.parts) > 2 else path.stem


def failing(root: Path, tests: Sequence[Test]) -> tuple[str, str] | None:
    """The first of these tests that fails, or does not end, and its words; None where none does."""
    import pytest

    found: list[tuple[str, str]] = []
    limits = {test.name: test.limit for test in tests}

    class Watch:
        """Knows what failed, and how long each may take."""

        def pytest_runtest_protocol(self, item: Any) -> None:
            from_now_at_most(limits.get(item.nodeid, _BETWEEN))

        def pytest_runtest_logfinish(self) -> None:
            from_now_at_most(_BETWEEN)

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                found.append((report.nodeid, _words(report)))

        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                found.append((report.nodeid, _words(report)))

    os.chdir(root)
    with at_most(_BETWEEN):
        code = pytest.main([*OPTIONS, *limits], plugins=[Watch()])
        if code == pytest.ExitCode.USAGE_ERROR and not found:
            # A test is called after what a mutant makes of its parameters; or tests cannot be read at all.
            files = dict.fromkeys(test.file for test in tests)
            code = pytest.main([*OPTIONS, *files], plugins=[Watch()])
    if found:
        return found[0]
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return tests[0].name, f"pytest ended with {int(code)}"
    return None


def _words(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr)
