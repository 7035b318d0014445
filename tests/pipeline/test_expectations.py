"""What is expected to fail must fail, in the very way that is expected."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from fnmatch import fnmatchcase

import pytest

from ares.pipeline.expectations import EXPECTATIONS, Expectation, judge
from ares.toolchain import TARGETS
from ares.verdict import Outcome, Verdict
from tests.checkout import ZOO
from tests.slow import slow_but
from tests.toolchain.tiny_network import failure_of, tiny_project, usable

ROW = Expectation(
    "mips-*", "net_*", "crash", "exit code 99", "the row's reason", date(2026, 11, 29)
)
TABLE = (ROW,)
NETWORK, TARGET = "net_1", "mips-gcc-O2"


def _verdict(
    outcome: Outcome, fault: str = "", message: str = "", network: str = NETWORK
) -> Verdict:
    return Verdict(network, f"c[{TARGET}]", outcome, message, fault, "conv1", 1.5, True, 64, TARGET)


def test_the_fault_that_is_expected() -> None:
    verdict = _verdict(Outcome.FAIL, "crash", "exit code 99: a fault of the processor")
    judged = judge(verdict, TABLE)
    assert judged.outcome is Outcome.EXPECTED
    assert judged.message == "the row's reason"
    kept = ("network", "stage", "fault", "layer", "seconds", "kept", "stack")
    assert [getattr(judged, name) for name in kept] == [getattr(verdict, name) for name in kept]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("difference", "exit code 99"),  # the right words, another fault
        ("crash", "exit code 6: the run was refused"),  # the right fault, other words
        ("worker died", "a worker process died"),
        ("", ""),
    ],
)
def test_another_fault_fails_and_says_what_was_expected(fault: str, message: str) -> None:
    judged = judge(_verdict(Outcome.FAIL, fault, message), TABLE)
    assert (judged.outcome, judged.fault) == (Outcome.FAIL, fault)
    assert judged.message.startswith(message)
    assert judged.message.endswith("expected since 2026-11-29: crash (the row's reason)")


def test_exact_where_a_fault_is_expected_fails() -> None:
    judged = judge(_verdict(Outcome.PASS, message="5 cases"), TABLE)
    assert (judged.outcome, judged.fault) == (Outcome.FAIL, "unexpected pass")
    assert "every layer is exact, but expected since 2026-11-29: crash" in judged.message
    assert "remove the row from ares/pipeline/expectations.py" in judged.message


@pytest.mark.parametrize("outcome", [Outcome.NOT_RUN, Outcome.LEFT_OUT])
def test_what_did_not_run_is_neither(outcome: Outcome) -> None:
    verdict = _verdict(outcome, "missing tool", "not here")
    assert judge(verdict, TABLE) is verdict


@pytest.mark.parametrize("outcome", list(Outcome))
@pytest.mark.parametrize(("network", "target"), [("other", TARGET), (NETWORK, "mipsel-gcc-O2")])
def test_other_cells_are_left_alone(outcome: Outcome, network: str, target: str) -> None:
    verdict = replace(_verdict(outcome, "crash", "exit code 99", network), target=target)
    assert judge(verdict, TABLE) is verdict


def test_judging_twice_does_not_hide_a_failure() -> None:
    once = judge(_verdict(Outcome.PASS), TABLE)
    assert judge(once, TABLE).outcome is Outcome.FAIL


@pytest.mark.parametrize("row", slow_but([0], EXPECTATIONS), ids=lambda row: row.target)
def test_rows_are_about_something(row: Expectation) -> None:
    names = [target.name for target in TARGETS if fnmatchcase(target.name, row.target)]
    assert names, "no such target"
    assert not any(target.default for target in TARGETS if target.name in names)
    assert any(fnmatchcase(name, row.network) for name in ZOO.subjects)
    assert row.reason
    assert row.words
    assert row.fault
    assert row.since <= date.today()


def test_no_row_hides_another() -> None:
    """The first that covers a cell is the one that counts."""
    for target in TARGETS:
        rows = [row for row in EXPECTATIONS if fnmatchcase(target.name, row.target)]
        assert len(rows) <= 1 or "*" not in {row.network for row in rows[:-1]}


@pytest.mark.parametrize("row", slow_but([0], EXPECTATIONS), ids=lambda row: row.target)
def test_what_is_expected_is_what_happens(row: Expectation) -> None:
    failure = failure_of(tiny_project(), usable(row.target))
    verdict = Verdict(
        *("tiny", f"c[{row.target}]", Outcome.FAIL, str(failure), failure.kind), target=row.target
    )
    assert judge(verdict).outcome is Outcome.EXPECTED
