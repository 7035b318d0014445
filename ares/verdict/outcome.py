"""What a stage or a target can end with, and all that follows from it: one row an outcome."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.Enum):
    """Only PASS is a pass; `message` of the verdict gives the reason for the others.

    NOT_RUN: something that was needed is not installed. LEFT_OUT: by a written rule (the sample of the day, a board
    without the memory). EXPECTED: it failed in the very way that the table of expectations says. The value is what
    files of results hold.
    """

    PASS = "pass"
    FAIL = "fail"
    EXPECTED = "expected"
    NOT_RUN = "not run"
    LEFT_OUT = "left out"

    @property
    def facts(self) -> Facts:
        """The row of this outcome."""
        return _TABLE[self]


@dataclass(frozen=True, slots=True)
class Facts:
    """How an outcome is shown, and what it means for the run.

    `mark` stands in a cell of a table, `heading` over a column of counts, `word` behind a stage's name, `counted`
    behind a number in a summary; `style` is rich's. `judged`: integers were compared, or an error was found. `kept`: a
    later run may take the verdict over. `fails`: a run that has one ends with exit code 1.
    """

    mark: str
    heading: str
    word: str
    counted: str
    style: str
    judged: bool
    kept: bool
    fails: bool = False


_TABLE = {
    Outcome.PASS: Facts("ok", "exact", "ok", "exact", "green", judged=True, kept=True),
    Outcome.FAIL: Facts(
        "FAIL", "failed", "FAILED", "failed", "red", judged=True, kept=False, fails=True
    ),
    Outcome.EXPECTED: Facts(
        *("exp", "expected", "fails as expected", "failed as expected", "cyan"),
        judged=True,
        kept=True,
    ),
    Outcome.NOT_RUN: Facts(
        "-", "not run", "not run", "not run", "yellow", judged=False, kept=False
    ),
    Outcome.LEFT_OUT: Facts(
        "out", "left out", "left out", "left out", "dim", judged=False, kept=True
    ),
}
