"""The result of a check: findings in order of execution, the verdict, and how `forward` was run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ares.extract import NOT_JUDGED, Finding, Status

FORMAT = "ares-check-1"


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    `network` is the file's or the caller's name, `model` the class. `inputs` says in words where the inputs came
    from; `shapes` are theirs, empty when `forward` was not seen.
    """

    network: str
    model: str
    inputs: str
    shapes: tuple[tuple[int, ...], ...]
    forward_seen: bool
    findings: tuple[Finding, ...]

    @property
    def compatible(self) -> bool:
        """Whether nothing stands in the way of extraction but, perhaps, calibration."""
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self._with(Status.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._with(Status.WARNING)

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
        warnings = _count(len(self.warnings), "warning")
        if self.compatible:
            return f"compatible: {_count(len(self.layers), 'layer')}, {warnings}"
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
            "summary": self.summary,
            "inputs": {
                "origin": self.inputs,
                "shapes": [list(shape) for shape in self.shapes],
                "forward_seen": self.forward_seen,
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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
