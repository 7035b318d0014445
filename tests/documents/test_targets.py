"""The record of a whole run, and the page that is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ares.documents.targets import RecordError, summarise, targets_page
from ares.pipeline.catalogue import network_names, suite_names
from ares.pipeline.expectations import EXPECTATIONS
from ares.pipeline.matrix import Matrix
from ares.pipeline.result_files import as_json
from ares.toolchain import TARGETS, default_targets
from ares.verdict import Outcome, Verdict

ROOT = Path(__file__).resolve().parents[2]
NAMES = (*network_names(), *suite_names())
DAY = date(2026, 11, 29)
CONTRACT, BOARD, BOARD_2 = "aarch64-gcc-contract", "m4-gcc-O2", "rv32-gcc-O2"


def _cell(name: str, target: str) -> Verdict:
    stage, board = f"c[{target}]", target.startswith(("m4", "m7", "m55", "rv32"))
    if target in (CONTRACT, "riscv64-zig-contract"):
        return Verdict(name, stage, Outcome.EXPECTED, "refused", "probe", seconds=0.5)
    if target == BOARD and name == NAMES[3]:
        return Verdict(name, stage, Outcome.LEFT_OUT, "needs 5.00 MiB of RAM", "too large")
    if target == "alpha-gcc-O2" and name == NAMES[7]:
        return Verdict(name, stage, Outcome.LEFT_OUT, "sampled, next tomorrow", "sampled")
    stack = 100 + NAMES.index(name) if board else None
    return Verdict(name, stage, Outcome.PASS, seconds=0.25, stack=stack)


@pytest.fixture(scope="module")
def results() -> str:
    verdicts = [Verdict(name, "check", Outcome.PASS) for name in NAMES]
    verdicts += [_cell(name, target.name) for name in NAMES for target in TARGETS]
    return as_json(Matrix(tuple(verdicts), 4321.6, TARGETS))


@pytest.fixture(scope="module")
def record(results: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(summarise(results, DAY))
    return found


def test_a_whole_run_in_few_words(record: dict[str, Any]) -> None:
    assert record["date"] == "2026-11-29"
    assert record["seconds"] == 4322
    assert record["cells"] == len(NAMES) * (len(TARGETS) + 1)
    assert record["subjects"] == list(NAMES)
    assert list(record["targets"]) == [target.name for target in TARGETS]
    count = len(NAMES)
    assert record["targets"]["gcc-O2"] == {
        "exact": count,
        "expected": 0,
        "sampled": 0,
        "too_large": {},
        "seconds": count / 4,
        "stack": None,
    }
    assert record["targets"][CONTRACT]["expected"] == count
    assert record["targets"]["alpha-gcc-O2"]["sampled"] == 1
    assert record["targets"][BOARD]["too_large"] == {NAMES[3]: "needs 5.00 MiB of RAM"}
    assert record["targets"][BOARD]["exact"] == count - 1
    assert record["targets"][BOARD]["stack"] == [NAMES[-1], 100 + count - 1]


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
    run["verdicts"] = [v for v in run["verdicts"] if v["stage"] != "c[tcc]"]


def _without_a_cell(run: Any) -> None:
    run["verdicts"] = [
        v for v in run["verdicts"] if (v["network"], v["stage"]) != (NAMES[1], "c[tcc]")
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
    with pytest.raises(RecordError) as caught:
        summarise(json.dumps(run), DAY)
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
    with pytest.raises(RecordError, match=r"^not the JSON of ares networks --json-out: ") as caught:
        summarise(text, DAY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lacks", ["network", "stage", "outcome", "fault", "seconds", "stack"])
def test_a_verdict_that_lacks_a_field_is_one_line(results: str, lacks: str) -> None:
    run = json.loads(results)
    for verdict in run["verdicts"]:
        del verdict[lacks]
    with pytest.raises(RecordError, match=f"not the JSON of .*{lacks}"):
        summarise(json.dumps(run), DAY)


# --- the page


def test_the_page_is_stable(record: dict[str, Any], results: str) -> None:
    page = targets_page(record, "NOTICE")
    again = json.loads(json.dumps(record, sort_keys=True))
    assert targets_page(again, "NOTICE") == page
    assert json.loads(summarise(results, DAY)) == record
    assert page.splitlines()[2] == "NOTICE"
    assert page.endswith("|\n")
    assert all(line == line.rstrip() for line in page.splitlines())


def test_the_page_lists_every_target(record: dict[str, Any]) -> None:
    page = targets_page(record, "")
    rows = re.findall(r"^\| `([^`]+)`( \*)? \| (.*) \|$", page.split("## Large")[0], re.MULTILINE)
    assert [name for name, _, _ in rows] == [target.name for target in TARGETS]
    starred = [name for name, star, _ in rows if star]
    assert starred == [target.name for target in default_targets()]
    for target, (_, _, rest) in zip(TARGETS, rows, strict=True):
        assert rest.startswith(
            f"{target.machine.isa} | {target.machine.byte_order} | {target.machine.pointer_bits} | {target.family} `"
        )
        assert "-Werror" not in rest
        for flag in target.flags:
            assert flag in rest or flag.startswith(("-W", "-ffunction", "-fdata"))
    # Rows of the same processor differ in the flags that are shown.
    assert len({rest.rsplit("|", 3)[0] for _, _, rest in rows}) == len(rows)


def test_the_page_says_what_was_not_exact(record: dict[str, Any]) -> None:
    page = targets_page(record, "")
    lines = {m[1]: m[0] for m in re.finditer(r"^\| `([^`]+)`.*$", page, re.MULTILINE)}
    exact = sum(own["exact"] for own in record["targets"].values())
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


def test_the_page_lists_every_expectation(record: dict[str, Any]) -> None:
    section = targets_page(record, "").split("## What is expected to fail")[1]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == len(EXPECTATIONS)
    for row, line in zip(EXPECTATIONS, rows, strict=True):
        for words in (row.target, row.network, row.fault, row.words, str(row.since), row.reason):
            assert words in line


def test_a_new_target_asks_for_a_new_record(record: dict[str, Any]) -> None:
    old = {**record, "targets": {k: v for k, v in record["targets"].items() if k != "tcc"}}
    with pytest.raises(RecordError, match=r"docs/targets\.json knows no tcc; run ares networks"):
        targets_page(old, "")


def test_the_stored_page_lists_every_target_and_every_expectation() -> None:
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    for target in TARGETS:
        assert f"| `{target.name}`" in page
    for row in EXPECTATIONS:
        assert row.reason in page


def test_the_stored_record_is_of_this_table_and_this_zoo() -> None:
    stored = json.loads((ROOT / "docs" / "targets.json").read_text(encoding="utf-8"))
    assert list(stored["targets"]) == [target.name for target in TARGETS]
    assert sorted(stored["subjects"]) == sorted(NAMES)
