"""`docs/pitfalls.md` answers every point with a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from ares.resources import checkout_dir

NAMED = re.compile(r"`(?:([\w/]+\.py)::)?(test_\w+)`")
TESTS = Path(__file__).parents[1]
LISTS = (13, 8, 7, 7)


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    return {name for name in functions if name.startswith("test_")}


def test_the_list_names_tests_that_exist() -> None:
    """Each point has a test, and each test of the neighbours `test_pitfalls_of_*.py` is named."""
    page = (checkout_dir() / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    sections = page.split("\n## ")[1:]
    tables = [re.findall(r"^\| (?!point|row).+\|$", section, re.MULTILINE) for section in sections]
    assert tuple(map(len, tables)) == LISTS
    assert [int(row.split()[1]) for row in tables[0]] == list(range(1, LISTS[0] + 1))
    own = {path: _tests_of(path) for path in Path(__file__).parent.glob("test_pitfalls_of_*.py")}
    ours = set[str]().union(*own.values())
    assert len(ours) == sum(map(len, own.values())) > LISTS[0]
    named = set()
    for row in (row for table in tables for row in table):
        found = NAMED.findall(row)
        assert found, f"no test in: {row}"
        for file, name in found:
            path = TESTS / file
            assert name in (_tests_of(path) if file else ours), f"{file} has no {name}"
            named |= set() if file else {name}
    assert named == ours
