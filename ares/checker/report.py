"""The result of a check: findings in order of execution, the verdict, and how `forward` was run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ares.extract import NOT_JUDGED, Finding, Status
from ares.extract._quantizers import CALIBRATE

FORMAT = "ares-check-1"


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    `network` is the file's or the caller's name, `model` the class. `inputs` says in words where the inputs came
    from; `shapes` are theirs, empty when `forward` was not seen, and `unseen` says why it was not ("": it was).
    `notes` say what was done to the inputs.
    """

    network: str
    model: str
    inputs: str
    shapes: tuple[tuple[int, ...], ...]
    findings: tuple[Finding, ...]
    unseen: str = ""
    notes: tuple[str, ...] = ()

    @property
    def forward_seen(self) -> bool:
        return not self.unseen

    @property
    def compatible(self) -> bool:
        """Whether `forward` was seen, and nothing stands in the way of extraction but, perhaps, calibration."""
        return self.known and not self.errors

    @property
    def known(self) -> bool:
        """Whether it is known if the model can be mapped: an error says no, but only `forward` could say yes."""
        return self.forward_seen or bool(self.errors)

    @property
    def verdict(self) -> str:
        """`compatible`, `not compatible` or `not known`."""
        if not self.known:
            return "not known"
        return "compatible" if self.compatible else "not compatible"

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self._with(Status.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._with(Status.WARNING)

    @property
    def uncalibrated(self) -> bool:
        """Whether a quantiser wants to be calibrated before the model can be extracted or verified."""
        return any(finding.suggestion == CALIBRATE for finding in self.warnings)

    @property
    def not_judged(self) -> tuple[Finding, ...]:
        """What nothing is known of but its class, because of an error around it."""
        return tuple(finding for finding in self.findings if finding.reason == NOT_JUDGED)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that there are findings about, each once."""
        return tuple(dict.fromkeys(finding.layer for finding in self.findings if finding.layer))

    @property
    def summary(self) -> str:
        """One line that says it all."""
        if not self.known:
            return f"NOT KNOWN: forward was not seen: {self.unseen}"
        if self.compatible:
            counts = f"{_count(len(self.layers), 'layer')}, {_count(len(self.warnings), 'warning')}"
            return f"compatible: {counts}" + (
                "; calibrate it before verify" if self.uncalibrated else ""
            )
        bad = len({finding.layer for finding in self.errors if finding.layer})
        share = f"{bad} of {_count(len(self.layers), 'layer')}" if bad else "the model as a whole"
        first = self.errors[0]
        place = f"{first.layer} ({first.layer_type})" if first.layer else first.layer_type
        return f"NOT compatible: {share}; first: {place}: {first.reason}"

    def as_json(self) -> dict[str, Any]:
        """The report as plain values; `to_json` writes them."""
        return {
            "format": FORMAT,
            "network": self.network,
            "model": self.model,
            "compatible": self.compatible,
            "verdict": self.verdict,
            "summary": self.summary,
            "inputs": {
                "origin": self.inputs,
                "shapes": [list(shape) for shape in self.shapes],
                "forward_seen": self.forward_seen,
                "notes": list(self.notes),
            },
            "counts": {
                "layers": len(self.layers),
                "supported": len(self._with(Status.SUPPORTED)) - len(self.not_judged),
                "warning": len(self.warnings),
                "error": len(self.errors),
                "not_judged": len(self.not_judged),
            },
            "findings": [
                {
                    "layer": finding.layer,
                    "module": finding.module,
                    "type": finding.layer_type,
                    "op_type": finding.op_type,
                    "status": finding.status.value,
                    "reason": finding.reason,
                    "suggestion": finding.suggestion,
                }
                for finding in self.findings
            ],
        }

    def to_json(self) -> str:
        """The same report gives the same text: findings in execution order, keys in a fixed order."""
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False) + "\n"

    def _with(self, status: Status) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.status is status)


def first_reason(reasons: Sequence[str]) -> str:
    """The first of all reasons why a model cannot be mapped, whole, and how many more there are."""
    first, *more = (" ".join(reason.split()) for reason in reasons)
    return f"{first}; {len(more)} more: ares check lists them" if more else first


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
