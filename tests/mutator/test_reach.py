"""Which tests reach which functions, and which of them are asked about a mutant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ares.mutator.mutant import Mutant, Place
from ares.mutator.reach import IMPORT, Memory, Reach, watch
from ares.toolchain.cache import VARIABLE
from ares.toolchain.forks import in_children

FILE = "ares/sums.py"
MODULE = """
def add(a, b):
    return a + b
def double(a):
    return add(a, a)
class Table:
    ONE = 1
"""
TESTS = """
import pytest
from ares.sums import add, double, Table
THREE = add(1, 2)
def test_add(): assert add(1, 1) == 2
def test_double(): assert double(2) == 4
def test_neither(): assert Table.ONE
def test_wrong(): assert double(2) == 5
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("checkout")
    (root / "ares").mkdir()
    (root / "ares" / "__init__.py").write_text("")
    (root / FILE).write_text(MODULE)
    (root / "test_sums.py").write_text(TESTS)

    def look(file: str) -> str:
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] == "ares"]:
            del sys.modules[name]
        sys.path.insert(0, str(root))
        return watch(root, file)

    (ended,) = in_children(["test_sums.py"], look, 1, 120.0)
    assert ended.said is not None, ended.wrong
    return json.loads(ended.said)


def test_what_each_test_reaches(found: Any) -> None:
    reached = {
        name.partition("::")[2]: {found["functions"][each] for each in numbers}
        for name, (_, numbers) in found["tests"].items()
    }
    assert {f"{FILE}:add"} == reached["test_add"]
    assert {f"{FILE}:add", f"{FILE}:double"} == reached["test_double"]
    assert not reached["test_neither"]
    assert "test_wrong" not in reached, "what fails unmutated says nothing"
    assert f"{FILE}:add" in reached[IMPORT]
    assert {FILE, "test_sums.py"} <= set(found["loaded"])


def _mutant(function: str) -> Mutant:
    return Mutant("python", FILE, Place("test", function, 0, 0, b""), 0, "0", b"")


@pytest.mark.parametrize(
    ("function", "asked"),
    [
        ("add", {"test_add", "test_double"}),
        ("double", {"test_double"}),
        ("module", {"test_add", "test_double"}),
        ("Table", {"test_add", "test_double"}),
        ("unknown", set()),
    ],
)
def test_those_are_asked_that_reach_it(found: Any, function: str, asked: set[str]) -> None:
    reach = Reach()
    reach.take(found)
    own = reach.asked(_mutant(function), ["test_sums.py"], others=False)
    assert {test.name.partition("::")[2] for test in own} == asked
    assert own == reach.asked(_mutant(function), [], others=True), "named after it or not"


def test_named_tests_are_asked_apart_and_long_ones_not_at_all() -> None:
    reach = Reach()
    seconds = {"a.py::quick": 0.1, "b.py::named": 1.0, "a.py::long": 100.0}
    tests = {name: [each, [0]] for name, each in seconds.items()}
    reach.take({"functions": [f"{FILE}:add"], "tests": tests})
    for others, name in ((False, "b.py::named"), (True, "a.py::quick")):
        (test,) = reach.asked(_mutant("add"), ["b.py"], others=others)
        assert test.name == name
        assert test.limit > 5 * seconds["a.py::long" if others else name]


def test_what_is_kept_holds_as_long_as_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "one.py").write_text("1")
    Memory(tmp_path).keep("tests", {"loaded": ["one.py"]})
    assert Memory(tmp_path).find("tests") == {"loaded": ["one.py"]}
    assert Memory(tmp_path).find("others") is None
    (tmp_path / "one.py").write_text("2")
    assert Memory(tmp_path).find("tests") is None
