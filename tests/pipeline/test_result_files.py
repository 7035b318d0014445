"""A whole run for machines: nothing is lost on the way into JSON and JUnit's XML."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from ares.pipeline.matrix import Matrix
from ares.pipeline.result_files import as_json, as_junit
from ares.toolchain import TARGETS, select
from ares.verdict import Outcome, Verdict

CONTROL = "".join(map(chr, range(32))) + "\x7f\x80 \ufffe\uffff \ud800 \U0001f600 <&>\"' ]]>"
REPORT = (
    f"net: c[x]: case 0: layer conv1 (OP_CONV2D): differs\n{CONTROL}\nto repeat it: ares networks"
)
TWO = select(["gcc-O2", "s390x-gcc-O2"])
CELLS = tuple(target.stage for target in TWO)
VERDICTS = (
    Verdict("net", "check", Outcome.PASS, "3 findings, no error", seconds=1.0),
    Verdict("net", "torch", Outcome.PASS, seconds=0.25, kept=True),
    Verdict("net", CELLS[0], Outcome.PASS, "5 cases", seconds=0.5, stack=512),
    Verdict("net", CELLS[1], Outcome.FAIL, REPORT, "difference", "conv1", 2.0),
    Verdict("<b&w>", CELLS[0], Outcome.NOT_RUN, "gcc is not on the PATH", "missing tool"),
    Verdict("<b&w>", CELLS[1], Outcome.LEFT_OUT, "too large", "too large"),
    Verdict("ops_ae", CELLS[0], Outcome.EXPECTED, "known", "probe"),
    Verdict("ops_ae", CELLS[1], Outcome.FAIL, "", "crash"),
)
MATRIX = Matrix(VERDICTS, 12.3456, TWO)


# --- JSON


def test_every_verdict_comes_back_from_json() -> None:
    content = json.loads(as_json(MATRIX))
    assert len(content["verdicts"]) == len(VERDICTS)
    assert tuple(map(Verdict.from_json, content["verdicts"])) == VERDICTS
    assert content["seconds"] == 12.346
    assert content["passed"] is False


def test_counts_and_targets() -> None:
    content = json.loads(as_json(MATRIX))
    counts = {"pass": 3, "fail": 2, "not run": 1, "left out": 1, "expected": 1}
    assert content["counts"] == {outcome.value: 0 for outcome in Outcome} | counts
    assert list(content["targets"]) == ["gcc-O2", "s390x-gcc-O2"]
    s390x = content["targets"]["s390x-gcc-O2"]
    assert s390x["isa"] == "z/Architecture"
    assert (s390x["byte_order"], s390x["pointer_bits"]) == ("big", 64)
    assert (s390x["machine"], s390x["compiler"]) == ("s390x", "gcc")
    assert s390x["flags"] == list(TWO[1].flags)
    assert s390x["description"] == TWO[1].description


def test_every_target_can_be_written() -> None:
    content = json.loads(as_json(Matrix((), 0.0, TARGETS)))
    assert list(content["targets"]) == [target.name for target in TARGETS]
    assert content["passed"] is True
    assert set(content["counts"]) == {outcome.value for outcome in Outcome}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_passed_means_that_nothing_failed(outcome: Outcome) -> None:
    matrix = Matrix((Verdict("net", "check", outcome),), 1.0)
    assert json.loads(as_json(matrix))["passed"] is (outcome is not Outcome.FAIL)


def test_patterns_are_written() -> None:
    big = next(target for target in TARGETS if target.machine.byte_order == "big")
    little = next(target for target in TARGETS if target.machine.byte_order == "little")
    verdicts = (
        Verdict("net", little.stage, Outcome.PASS),
        Verdict("net", big.stage, Outcome.FAIL),
    )
    content = json.loads(as_json(Matrix(verdicts, 1.0, (little, big))))
    assert "big-endian" in content["patterns"]["net"]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"outcome": "perfect"},
        {"outcome": "pass", "stage": "check"},
        {**VERDICTS[0].as_json(), "more": 1},
    ],
)
def test_what_is_no_verdict_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Verdict.from_json(broken)


# --- JUnit


@pytest.fixture(scope="module")
def junit() -> ElementTree.Element:
    return ElementTree.fromstring(as_junit(MATRIX))


def _cases(root: ElementTree.Element) -> dict[tuple[str, str], ElementTree.Element]:
    return {
        (case.get("classname", ""), case.get("name", "")): case for case in root.iter("testcase")
    }


def test_one_suite_a_subject_one_case_a_cell(junit: ElementTree.Element) -> None:
    assert [suite.get("name") for suite in junit] == ["net", "<b&w>", "ops_ae"]
    assert list(_cases(junit)) == [(v.network, v.stage) for v in VERDICTS]
    assert junit.get("time") == "12.346"


def test_a_name_that_xml_cannot_hold_is_readable_xml() -> None:
    root = ElementTree.fromstring(
        as_junit(Matrix((Verdict("a\0\ud800b", "check", Outcome.PASS),), 1.0))
    )
    assert [suite.get("name") for suite in root] == ["a??b"]
    assert list(_cases(root)) == [("a??b", "check")]


def test_counts_agree_with_the_cases(junit: ElementTree.Element) -> None:
    counts = [
        [int(suite.get(name, "")) for name in ("tests", "failures", "errors", "skipped")]
        for suite in junit
    ]
    assert counts == [[4, 1, 0, 0], [2, 0, 0, 2], [2, 1, 0, 0]]
    for suite in junit:
        assert len(suite.findall("testcase")) == int(suite.get("tests", ""))
        assert len(suite.findall("*/failure")) == int(suite.get("failures", ""))
        assert len(suite.findall("*/skipped")) == int(suite.get("skipped", ""))
    assert [suite.get("time") for suite in junit] == ["3.750", "0.000", "0.000"]


def test_a_failure_holds_the_whole_report(junit: ElementTree.Element) -> None:
    failure = _cases(junit)["net", CELLS[1]].find("failure")
    assert failure is not None
    assert failure.get("type") == "difference"
    first, *_, last = REPORT.split("\n")
    assert failure.get("message") == first
    text = failure.text or ""
    assert text.startswith(first)
    assert text.endswith(f"\n{last}")
    assert "\U0001f600 <&>\"' ]]>" in text
    # What XML cannot say is a question mark; tab and line ends stay.
    for character in CONTROL:
        shown = character if character in "\t\n" or character >= " " else "?"
        if character not in "\r\ud800\ufffe\uffff":
            assert shown in text


def test_a_failure_without_words_has_its_name(junit: ElementTree.Element) -> None:
    failure = _cases(junit)["ops_ae", CELLS[1]].find("failure")
    assert failure is not None
    assert failure.get("message") == failure.get("type") == "crash"


def test_what_did_not_run_says_why(junit: ElementTree.Element) -> None:
    cases = _cases(junit)
    messages = [
        [child.get("message") for child in cases["<b&w>", stage] if child.tag == "skipped"]
        for stage in CELLS
    ]
    assert messages == [["not run: gcc is not on the PATH"], ["left out: too large"]]


def test_an_expected_fault_is_neither_failure_nor_skipped(junit: ElementTree.Element) -> None:
    (child,) = _cases(junit)["ops_ae", CELLS[0]]
    assert (child.tag, child.text) == ("system-out", "expected: known")
    assert not list(_cases(junit)["net", "torch"])


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_survives_every_character(outcome: Outcome) -> None:
    verdicts = (replace(VERDICTS[3], outcome=outcome),)
    text = as_junit(Matrix(verdicts, 1.0, TWO))
    assert len(list(ElementTree.fromstring(text.encode()).iter("testcase"))) == 1
    assert text.startswith("<?xml")
    content = json.loads(as_json(Matrix(verdicts, 1.0, TWO)).encode())
    assert content["verdicts"][0]["message"] == REPORT
