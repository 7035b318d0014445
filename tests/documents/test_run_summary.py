"""The summary of a whole run, and the page that is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ares.documents.markdown import GENERATED
from ares.documents.pages.targets import targets_page
from ares.documents.registry import outdated
from ares.documents.run_summary import SUMMARY, SummaryError, read_summary, summarise
from ares.pipeline.expectations import EXPECTATIONS
from ares.pipeline.matrix import Matrix
from ares.pipeline.result_files import as_json
from ares.toolchain import TARGETS, Target, default_targets
from ares.verdict import Outcome, Verdict
from tests.checkout import ROOT, ZOO
from tools import generate_docs

# No real ones: the zoo grows.
NAMES = (*(f"test_{number}_net" for number in range(1, 12)), "ops_ae")
DAY = date(2026, 11, 29)
CONTRACT, BOARD, BOARD_2 = "aarch64-gcc-contract", "m4-gcc-O2", "rv32-gcc-O2"


def _cell(number: int, name: str, target: Target) -> Verdict:
    passed = Verdict(name, target.stage, Outcome.PASS, seconds=0.25, target=target.name)
    if target.name in (CONTRACT, "riscv64-zig-contract"):
        return replace(passed, outcome=Outcome.EXPECTED, message="refused", fault="probe")
    left_out = replace(passed, outcome=Outcome.LEFT_OUT, seconds=0.0)
    if target.name == BOARD and name == NAMES[3]:
        return replace(left_out, message="needs 5.00 MiB of RAM", fault="too large")
    if target.name == "alpha-gcc-O2" and name == NAMES[7]:
        return replace(left_out, message="sampled, next tomorrow", fault="sampled")
    return replace(passed, stack=100 + number) if target.machine.board else passed


def _results(names: Sequence[str]) -> str:
    verdicts = [Verdict(name, "check", Outcome.PASS) for name in names]
    verdicts += [
        _cell(number, name, target) for number, name in enumerate(names) for target in TARGETS
    ]
    return as_json(Matrix(tuple(verdicts), 4321.6, TARGETS))


@pytest.fixture(scope="module")
def results() -> str:
    return _results(NAMES)


@pytest.fixture(scope="module")
def summary(results: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(summarise(results, NAMES, DAY))
    return found


def test_a_whole_run_in_few_words(summary: dict[str, Any]) -> None:
    assert summary["date"] == "2026-11-29"
    assert summary["seconds"] == 4322
    assert summary["cells"] == len(NAMES) * (len(TARGETS) + 1)
    assert summary["subjects"] == list(NAMES)
    assert list(summary["targets"]) == [target.name for target in TARGETS]
    count = len(NAMES)
    assert summary["targets"]["gcc-O2"] == {
        "exact": count,
        "expected": 0,
        "sampled": 0,
        "too_large": {},
        "seconds": count / 4,
        "stack": None,
    }
    assert summary["targets"][CONTRACT]["expected"] == count
    assert summary["targets"]["alpha-gcc-O2"]["sampled"] == 1
    assert summary["targets"][BOARD]["too_large"] == {NAMES[3]: "needs 5.00 MiB of RAM"}
    assert summary["targets"][BOARD]["exact"] == count - 1
    assert summary["targets"][BOARD]["stack"] == [NAMES[-1], 100 + count - 1]


# --- only whole runs


def _failed(run: Any) -> None:
    run["verdicts"][-1]["outcome"] = "fail"


def _missing(run: Any) -> None:
    run["verdicts"][-1]["outcome"] = "not run"


def _of_one_network(run: Any) -> None:
    run["verdicts"] = [v for v in run["verdicts"] if v["network"] == NAMES[0]]


def _without_a_suite(run: Any) -> None:
    run["verdicts"] = [v for v in run["verdicts"] if v["network"] != NAMES[-1]]


def _without_a_target(run: Any) -> None:
    del run["targets"]["tcc"]
    run["verdicts"] = [v for v in run["verdicts"] if v["target"] != "tcc"]


def _without_a_cell(run: Any) -> None:
    run["verdicts"] = [
        v for v in run["verdicts"] if (v["network"], v["target"]) != (NAMES[1], "tcc")
    ]


PARTIAL = [
    (_failed, "1 cells failed, 0 did not run, 0 targets"),
    (_missing, "0 cells failed, 1 did not run, 0 targets"),
    (_of_one_network, f"{len(NAMES) - 1} targets, subjects or cells are absent ({NAMES[1]}, "),
    (_without_a_suite, f"1 targets, subjects or cells are absent ({NAMES[-1]});"),
    (_without_a_target, "1 targets, subjects or cells are absent (tcc);"),
    (_without_a_cell, f"1 targets, subjects or cells are absent ({NAMES[1]} c[tcc]);"),
]


@pytest.mark.parametrize(("spoil", "says"), PARTIAL, ids=[row[0].__name__[1:] for row in PARTIAL])
def test_a_run_that_failed_or_was_not_whole_is_refused(
    results: str, spoil: Callable[[Any], None], says: str
) -> None:
    run = json.loads(results)
    spoil(run)
    with pytest.raises(SummaryError) as caught:
        summarise(json.dumps(run), NAMES, DAY)
    message = str(caught.value)
    assert says in message
    assert message.endswith("run ares networks --target '*' --json-out FILE")
    assert "\n" not in message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        "{}",
        '{"verdicts": 1}',
        '{"verdicts": [{}]}',
        '{"verdicts": [1]}',
    ],
)
def test_what_is_no_result_is_one_line(text: str) -> None:
    with pytest.raises(
        SummaryError, match=r"^not the JSON of ares networks --json-out: "
    ) as caught:
        summarise(text, NAMES, DAY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lacks", ["network", "target", "outcome", "fault", "seconds", "stack"])
def test_a_verdict_that_lacks_a_field_is_one_line(results: str, lacks: str) -> None:
    run = json.loads(results)
    for verdict in run["verdicts"]:
        del verdict[lacks]
    with pytest.raises(SummaryError, match=f"not the JSON of .*{lacks}"):
        summarise(json.dumps(run), NAMES, DAY)


# --- the page


def test_the_page_is_stable(summary: dict[str, Any], results: str) -> None:
    page = targets_page(summary, NAMES)
    again = json.loads(json.dumps(summary, sort_keys=True))
    assert targets_page(again, NAMES) == page
    assert json.loads(summarise(results, NAMES, DAY)) == summary
    assert page.splitlines()[2] == GENERATED
    assert page.endswith("|\n")
    assert all(line == line.rstrip() for line in page.splitlines())


def test_the_page_lists_every_target(summary: dict[str, Any]) -> None:
    page = targets_page(summary, NAMES)
    rows = re.findall(r"^\| `([^`]+)`( \*)? \| (.*) \|$", page.split("## Large")[0], re.MULTILINE)
    assert [name for name, _, _ in rows] == [target.name for target in TARGETS]
    starred = [name for name, star, _ in rows if star]
    assert starred == [target.name for target in default_targets()]
    for target, (_, _, rest) in zip(TARGETS, rows, strict=True):
        assert rest.startswith(
            f"{target.machine.isa} | {target.machine.byte_order} | {target.machine.pointer_bits} "
            f"| {target.instruction_set} | {target.family} `"
        )
        assert "-Werror" not in rest
        for flag in target.flags:
            assert flag in rest or flag.startswith(("-W", "-ffunction", "-fdata"))
    # Rows of the same processor differ in the flags that are shown.
    assert len({rest.rsplit("|", 3)[0] for _, _, rest in rows}) == len(rows)


def test_the_page_says_what_was_not_exact(summary: dict[str, Any]) -> None:
    page = targets_page(summary, NAMES)
    lines = {m[1]: m[0] for m in re.finditer(r"^\| `([^`]+)`.*$", page, re.MULTILINE)}
    exact = sum(own["exact"] for own in summary["targets"].values())
    assert f"{exact} of them compiled programs" in page
    first = page.split("## Boards")[0]
    assert f"| 0 | {len(NAMES)} failed as expected |" in first
    assert "| 1 large: sampled |" in first
    assert "| 1 too large |" in first
    assert (
        f"| `{BOARD}` | {100 + len(NAMES) - 1} bytes (`{NAMES[-1]}`) | `{NAMES[3]}`: needs 5.00 MiB of RAM |"
        in page
    )
    assert f"| `{BOARD_2}` | {100 + len(NAMES) - 1} bytes (`{NAMES[-1]}`) | none |" in page
    assert set(lines) == {target.name for target in TARGETS}


def test_the_page_lists_every_expectation(summary: dict[str, Any]) -> None:
    section = targets_page(summary, NAMES).split("## What is expected to fail")[1]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == len(EXPECTATIONS)
    for row, line in zip(EXPECTATIONS, rows, strict=True):
        for words in (row.target, row.network, row.fault, row.words, str(row.since), row.reason):
            assert words in line


def test_what_has_come_since_is_not_recorded_yet(summary: dict[str, Any]) -> None:
    """A network, a target on the host, a board: each is named, and nothing else of the page changes."""
    since = ("tcc", BOARD_2)
    targets = {name: own for name, own in summary["targets"].items() if name not in since}
    old = {**summary, "targets": targets}
    page = targets_page(old, (*NAMES, "test_12_new", "ops_zz"))
    whole = targets_page(old | {"targets": summary["targets"]}, NAMES)
    assert "\nNot recorded yet: `test_12_new`, `ops_zz`.\n" in page
    assert re.search(r"^\| `tcc` \| .* \| not recorded yet \| \| \|$", page, re.MULTILINE)
    assert f"\n| `{BOARD_2}` | not recorded yet | |\n" in page
    new, gone = (
        {*one.splitlines()} - {*other.splitlines()} for one, other in ((page, whole), (whole, page))
    )
    assert len(new) == 5  # the names, the number of exact programs, tcc, the board twice
    assert len(gone) == 4
    assert "ot recorded yet" not in whole


def test_the_stored_page_lists_every_target_and_every_expectation() -> None:
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    for target in TARGETS:
        assert f"| `{target.name}`" in page
    for row in EXPECTATIONS:
        assert row.reason in page


def test_the_stored_summary_names_nothing_that_is_gone() -> None:
    """It may lack what has come since."""
    stored = read_summary(ROOT)
    assert stored["targets"].keys() <= {target.name for target in TARGETS}
    assert {*stored["subjects"]} <= {*ZOO.subjects}


# --- the tool


def test_a_whole_run_is_written(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = checkout / "m.json"
    results.write_text(_results(ZOO.subjects), encoding="utf-8")
    monkeypatch.setattr(generate_docs, "ROOT", checkout)
    assert generate_docs.main(["--results", str(results)]) == 0
    assert capsys.readouterr().out == "written: docs/targets.md\n"
    assert read_summary(checkout)["subjects"] == list(ZOO.subjects)
    assert "in 4322 s" in (checkout / "docs/targets.md").read_text(encoding="utf-8")
    assert generate_docs.main(["--check"]) == 0


def test_a_run_that_is_not_whole_writes_nothing(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (checkout / SUMMARY).read_bytes()
    results = checkout / "m.json"
    results.write_text(_results(ZOO.subjects[1:]), encoding="utf-8")
    monkeypatch.setattr(generate_docs, "ROOT", checkout)
    assert generate_docs.main(["--results", str(results)]) == 2
    assert f"subjects or cells are absent ({ZOO.subjects[0]});" in capsys.readouterr().err
    assert (checkout / SUMMARY).read_bytes() == before
    assert not outdated(checkout)
