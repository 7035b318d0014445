"""Which tests reach which functions: found out once for each file of tests, unmutated, and kept by content."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from cProfile import Profile
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from ares.mutator.kept import content_of
from ares.mutator.limits import at_most, busy_seconds, from_now_at_most
from ares.mutator.mutant import Mutant
from ares.toolchain import open_cache

_KIND, _FILE = "reach", "reach.json"
IMPORT = ""
"""What is reached while a file of tests is read."""
# Seconds of tests, unmutated, that are asked about a mutant; no test of more than the second; of how many files that
# are not named after its module.
_ASKED, _LONGEST, _FILES = 30.0, 8.0, 16
# Seconds: a file of tests is looked at until so many are over.
_ENOUGH = 90.0
OPTIONS = (
    *("-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow"),
    # Of hypothesis, which is imported before pytest is asked to.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
# As many words on pytest's command line, at most.
_MOST = 120


class Tracer:
    """Collects the functions of a checkout that are called while it is on; `file:name`, the innermost with a name.

    By the interpreter's own profiler, in C: tests that call small functions a million times take not much longer.
    """

    def __init__(self, root: Path) -> None:
        self._root = f"{root}{os.sep}"
        self._names: dict[CodeType, str] = {}
        self._profile = Profile(subcalls=False, builtins=False)

    def start(self) -> None:
        self._profile = Profile(subcalls=False, builtins=False)
        self._profile.enable()

    def stop(self) -> set[str]:
        self._profile.disable()
        found = set()
        for entry in self._profile.getstats():
            code = entry.code
            if isinstance(code, CodeType):
                if code not in self._names:
                    self._names[code] = self._name(code)
                found.add(self._names[code])
        return found - {""}

    def _name(self, code: CodeType) -> str:
        if not code.co_filename.startswith(f"{self._root}ares{os.sep}"):
            return ""
        return function_name(code.co_filename.removeprefix(self._root), code.co_qualname)


def function_name(file: str, name: str) -> str:
    """File and function, the innermost that has a name of its own."""
    parts = [part for part in name.replace(".<locals>", "").split(".") if not part.startswith("<")]
    return f"{file}:{'.'.join(parts)}"


def loaded(root: Path) -> list[str]:
    """The files of a checkout that this process has imported."""
    paths = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    start = f"{root}{os.sep}"
    return sorted({path.removeprefix(start) for path in paths if path and path.startswith(start)})


class _Watch:
    """What each test reaches, how long it takes, and which fail: those say nothing of a mutant."""

    def __init__(self, root: Path) -> None:
        self.tests: dict[str, tuple[float, set[str]]] = {}
        self.failed: set[str] = set()
        self.tracer = Tracer(root)
        self.imported: set[str] = set()
        self.stopped = False

    def pytest_collection_finish(self, session: Any) -> None:
        self._session = session
        self._first = busy_seconds()
        self.imported = self.tracer.stop()

    def pytest_runtest_protocol(self, item: Any) -> None:
        from_now_at_most(_ENOUGH)
        self._began = busy_seconds()
        self.tracer.start()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        over = busy_seconds()
        self.tests[nodeid] = (over - self._began, self.tracer.stop())
        self.stopped = over - self._first > _ENOUGH
        self._session.shouldstop = self.stopped and "enough"

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed or report.skipped:
            self.failed.add(report.nodeid)


def watch(root: Path, file: str) -> str:
    """Run a file of tests in this process; what is found of it, as JSON."""
    import pytest

    os.chdir(root)
    seen = _Watch(root)
    seen.tracer.start()
    with at_most(_ENOUGH):
        code = pytest.main([*OPTIONS[1:], file], plugins=[seen])
    if code not in (0, 1, 5) and not seen.stopped:
        raise RuntimeError(f"pytest {file} ended with {code}")
    right = {name: facts for name, facts in seen.tests.items() if name not in seen.failed}
    right[IMPORT] = (0.0, seen.imported)
    names = sorted({name for _, reached in right.values() for name in reached})
    number = {name: place for place, name in enumerate(names)}
    tests = {
        test: [round(seconds, 3), sorted(number[name] for name in reached)]
        for test, (seconds, reached) in right.items()
    }
    files = sorted({file, *loaded(root)})
    return json.dumps({"functions": names, "tests": tests, "loaded": files})


@dataclass(frozen=True, slots=True)
class Test:
    """A test, by its name to pytest; the seconds it takes; those that it may take of a mutant."""

    name: str
    seconds: float
    limit: float

    @property
    def file(self) -> str:
        return self.name.partition("::")[0]


class Memory:
    """What was found out unmutated, by name; it holds while the files that it rests on are as they were."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._digests: dict[str, str] = {}

    def find(self, name: str) -> Any:
        """What is kept and still holds, else None."""
        path = open_cache().find(_KIND, self._key(name), _FILE)
        if path is None:
            return None
        with suppress(ValueError, KeyError):
            entry = json.loads(path.read_text(encoding="utf-8"))
            if all(self._digest(each) == known for each, known in entry["rests_on"].items()):
                return entry["found"]
        return None

    def keep(self, name: str, found: Any) -> None:
        """Keep what a child has found out, which has `loaded` these files."""
        rests_on = {each: self._digest(each) for each in found["loaded"]}
        entry = json.dumps({"found": found, "rests_on": rests_on})
        open_cache().put(_KIND, self._key(name), _FILE, entry.encode())

    def _digest(self, file: str) -> str:
        if file not in self._digests:
            self._digests[file] = content_of(self._root / file)
        return self._digests[file]

    def _key(self, name: str) -> str:
        return hashlib.sha256(name.encode()).hexdigest()[:32]


class Reach:
    """The tests by the functions that they reach."""

    def __init__(self) -> None:
        self._by_function: defaultdict[str, list[Test]] = defaultdict(list)
        self._by_file: defaultdict[str, dict[str, Test]] = defaultdict(dict)
        self._at_import: set[str] = set()

    def take(self, found: Any) -> None:
        """Take up what `watch` has found."""
        functions = found["functions"]
        # What tests of a file share is made by whichever comes first.
        limit = 5.0 * max(seconds for seconds, _ in found["tests"].values()) + 10.0
        for name, (seconds, numbers) in found["tests"].items():
            reached = [functions[number] for number in numbers]
            if name == IMPORT:
                self._at_import.update(reached)
                continue
            test = Test(name, seconds, limit)
            for each in reached:
                self._by_function[each].append(test)
                self._by_file[each.partition(":")[0]][name] = test

    def asked(self, mutant: Mutant, named: Sequence[str], *, others: bool) -> list[Test]:
        """The tests that reach a mutant, in the order that they are asked: of the files named after it, or of `others`.

        What runs when its module is read is everybody's: asked are all that reach a function of the module.
        """
        where = function_name(mutant.file, mutant.place.function)
        found = self._by_function.get(where, [])
        if mutant.place.function == "module" or (not found and where in self._at_import):
            found = list(self._by_file[mutant.file].values())
        found = [test for test in found if (test.file in named) != others]
        if others:
            quick: dict[str, float] = {}
            for test in found:
                quick[test.file] = min(quick.get(test.file, _LONGEST), test.seconds)
            files = sorted(quick, key=lambda file: (quick[file], file))[:_FILES]
            found = [test for test in found if test.file in files]
        return _quickest(found)


def _quickest(tests: Sequence[Test]) -> list[Test]:
    """Some seconds of tests, the quickest of each file first."""
    rank: defaultdict[str, int] = defaultdict(int)
    ordered = []
    for test in sorted(tests, key=lambda each: (each.seconds, each.name)):
        ordered.append((rank[test.file], test))
        rank[test.file] += 1
    chosen: list[Test] = []
    total = 0.0
    for _, test in sorted(ordered, key=lambda each: (each[0], each[1].seconds)):
        if test.seconds > _LONGEST or len(chosen) == _MOST or total + test.seconds > _ASKED:
            continue
        chosen.append(test)
        total += test.seconds
    return chosen
