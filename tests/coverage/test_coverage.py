"""Which conditions the suites meet: what joins them, reasons and the sources' text, and one suite in one build.

All is `python tools/record_coverage.py`, some minutes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ares.pipeline.catalogue import Zoo
from ares.pipeline.suite import SuiteSubject
from tests.coverage.measuring import measure
from tests.coverage.outcomes import (
    ALONE,
    FALSE,
    TRUE,
    Condition,
    conditions_of,
    join,
    line_of,
    text_of,
)
from tests.coverage.reasons import Reason, gone, judge, read_reasons
from tests.coverage.variants import BEYOND, variants

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "int f(int a, int b)\n{\n    return a && b;\n}\n"
A, B = (3, 12, 3, 13), (3, 17, 3, 18)


def _function(a: tuple[int, int], b: tuple[int, int], alone: list[bool]) -> dict[str, Any]:
    branches = [[*span, *counts, 0, 0, 6] for span, counts in ((A, a), (B, b))]
    record = [3, 12, 3, 18, 0, 5, alone]
    return {"name": "f", "filenames": ["f.c"], "branches": branches, "mcdc_records": [record]}


def _conditions(*functions: dict[str, Any]) -> Any:
    return conditions_of(json.dumps({"data": [{"functions": functions}]}))


def test_conditions_of_an_export() -> None:
    found = _conditions(_function((2, 0), (1, 1), [False, True]))
    assert found["f.c", A] == Condition("f.c", A, true=True, false=False, alone=False)
    assert found["f.c", A].lacks == (FALSE, ALONE)
    assert found["f.c", B].lacks == ()


def test_builds_are_joined() -> None:
    one = _conditions(_function((2, 0), (0, 2), [False, False]))
    two = _conditions(_function((0, 3), (0, 0), [True, False]))
    both = join([*one.values(), *two.values()])
    assert both["f.c", A].lacks == ()
    assert both["f.c", B].lacks == (TRUE, ALONE)


def test_a_decision_whose_parts_are_not_told_is_refused() -> None:
    function = _function((1, 1), (1, 1), [True, True, True])
    with pytest.raises(ValueError, match="3 conditions"):
        _conditions(function)


def test_text_and_line(tmp_path: Path) -> None:
    (tmp_path / "f.c").write_text(SOURCE, encoding="utf-8")
    condition = Condition("f.c", B, true=True, false=False, alone=True)
    assert text_of(condition, tmp_path) == "b"
    assert line_of(condition, tmp_path) == "return a && b;"


def test_reasons_excuse_and_become_idle(tmp_path: Path) -> None:
    (tmp_path / "f.c").write_text(SOURCE, encoding="utf-8")
    unmet = Condition("f.c", B, true=True, false=False, alone=True)
    met = Condition("f.c", B, true=True, false=True, alone=True)
    reason = Reason("f.c", "return a && b;", (f"b: {FALSE}",), "never happens")
    assert judge([unmet], [reason], tmp_path) == ([], [])
    assert judge([unmet], [], tmp_path) == ([f"f.c:3: b: {FALSE}"], [])
    assert judge([met], [reason], tmp_path)[1] == [
        f"f.c: 'return a && b;': b: {FALSE}: it is met, and needs no reason"
    ]
    assert gone([reason], tmp_path) == []
    (tmp_path / "f.c").write_text("", encoding="utf-8")
    assert "out of date" in gone([reason], tmp_path)[0]


def test_reasons_speak_of_lines_that_are_there() -> None:
    assert gone(read_reasons(), ROOT) == []


def test_files_of_other_processors_exist() -> None:
    assert [name for name in BEYOND if not (ROOT / "runtime" / "src" / name).is_file()] == []


def test_one_suite_in_one_build() -> None:
    target = variants()[0]
    missing = target.missing()
    if missing:
        pytest.skip(missing)
    zoo = Zoo(ROOT)
    found = measure([SuiteSubject(zoo.golden / zoo.suites[0])], [target])
    assert found.emitted == {}
    add = [one for one in found.runtime.values() if one.file == "runtime/src/add.c"]
    assert add
    assert [one for one in add if one.lacks] == []
    # What the suite has nothing of is seen as such.
    softmax = [one for one in found.runtime.values() if one.file == "runtime/src/softmax.c"]
    assert softmax
    assert all(not one.true and not one.false for one in softmax)
