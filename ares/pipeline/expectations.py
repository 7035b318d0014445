"""What is known not to work somewhere: one row each, with the fault that must be seen, the reason and the date.

A target that ends otherwise than its row says fails, also when it is exact: then the row must go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase

from ares.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Expectation:
    """On targets and networks whose names match, a run ends with `fault`, and its report holds `words`."""

    target: str
    network: str
    fault: str
    words: str
    reason: str
    since: date

    def covers(self, network: str, target: str) -> bool:
        return fnmatchcase(target, self.target) and fnmatchcase(network, self.network)


EXPECTATIONS = (
    Expectation(
        target="aarch64-gcc-contract",
        network="*",
        fault="probe",
        words="contraction",
        reason="gcc -ffp-contract=fast fuses multiply and add on Armv8-A; the start-up probe must refuse the program",
        since=date(2026, 11, 29),
    ),
    Expectation(
        target="riscv64-zig-contract",
        network="*",
        fault="probe",
        words="contraction",
        reason="clang -ffp-contract=fast fuses multiply and add on RV64GC; the start-up probe must refuse the program",
        since=date(2026, 11, 29),
    ),
    Expectation(
        target="sh4-gcc-O2",
        network="*",
        fault="crash",
        words="SIGSEGV",
        reason="QEMU 7.2's qemu-sh4 crashes in the C library before main, also with an empty program; static ones hang",
        since=date(2026, 11, 29),
    ),
)


def judge(verdict: Verdict, table: Sequence[Expectation] = EXPECTATIONS) -> Verdict:
    """The verdict of a network on a target, in the light of what is expected there; of a stage, as it is."""
    row = next((row for row in table if row.covers(verdict.network, verdict.target)), None)
    if row is None or verdict.outcome not in (Outcome.PASS, Outcome.FAIL):
        return verdict
    where = f"expected since {row.since}: {row.fault} ({row.reason})"
    if verdict.outcome is Outcome.PASS:
        return replace(
            verdict,
            outcome=Outcome.FAIL,
            fault="unexpected pass",
            message=f"{verdict.network}: {verdict.stage}: every layer is exact, but {where}\n"
            "if that is what should be: remove the row from ares/pipeline/expectations.py",
        )
    if verdict.fault == row.fault and row.words in verdict.message:
        return replace(verdict, outcome=Outcome.EXPECTED, message=row.reason)
    return replace(verdict, message=f"{verdict.message}\n{where}")
