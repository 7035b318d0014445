"""What a stage of a network's verification ended with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ares.verdict.outcome import Outcome

OF_THE_EQUIPMENT = ("missing tool", "toolchain", "disk full", "killed")
"""Faults of this machine, which say nothing of what was to be compared."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One cell of the matrix network x stage, or network x target.

    `stage` is the name of a `Stage`, or a target's own stage, and `target` that target's name. `fault` is the kind of
    failure ("difference", "build", "signature", "timeout", ...), `layer` the first layer concerned; `message` is the
    whole report; `seconds` the time that the stage took. `kept`: not computed in this run but in an earlier one, from
    the same content. `stack`: bytes of stack that a board used.
    """

    network: str
    stage: str
    outcome: Outcome
    message: str = ""
    fault: str = ""
    layer: str = ""
    seconds: float = 0.0
    kept: bool = False
    stack: int | None = None
    target: str = ""

    @property
    def compared_nothing(self) -> bool:
        """It failed for want of something on this machine, which says nothing of the C."""
        return self.outcome is Outcome.FAIL and self.fault in OF_THE_EQUIPMENT

    def as_json(self) -> dict[str, object]:
        return {
            "network": self.network,
            "stage": self.stage,
            "target": self.target,
            "outcome": self.outcome.value,
            "fault": self.fault,
            "layer": self.layer,
            "message": self.message,
            "seconds": round(self.seconds, 3),
            "kept": self.kept,
            "stack": self.stack,
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Verdict:
        """The inverse of `as_json`; raises KeyError, TypeError or ValueError for anything else."""
        return cls(**{**facts, "outcome": Outcome(facts["outcome"])})


def blame(*, reference_agrees: bool, torch_agrees: bool, c_agrees: bool | None = None) -> str:
    """Whose fault a difference from the golden is: two witnesses that agree outvote the third.

    Each flag says whether that witness agrees with the golden; None means that it was not asked.
    """
    if c_agrees is False and reference_agrees and torch_agrees:
        return "the C differs; reference and torch agree with the golden: fault in kernel, plan or compiler"
    if c_agrees is False and reference_agrees:
        return "neither the C nor torch agrees with the golden; the reference does: fault in the integer reference"
    if c_agrees is False and torch_agrees:
        return (
            "the C and the reference differ; torch agrees with the golden: fault in the extraction"
        )
    if not reference_agrees and torch_agrees:
        who = "the C agrees with the golden" if c_agrees else "torch agrees with the golden"
        return f"the reference differs; {who}: fault in the integer reference or in the extraction"
    if reference_agrees and not torch_agrees:
        return "torch differs; reference and golden agree: both compute another integer than the model means"
    if not reference_agrees and not torch_agrees:
        return "neither reference nor torch agrees with the golden: the golden is damaged or out of date"
    return "every witness agrees with the golden"
