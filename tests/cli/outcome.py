"""What a command left behind. Light: every run of pytest imports it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left: exit code, what it printed, the JSON it wrote."""

    code: int
    out: str
    err: str
    report: dict[str, Any]

    def errors(self) -> list[dict[str, Any]]:
        return [finding for finding in self.report["findings"] if finding["status"] == "error"]

    def finding(self, layer: str) -> dict[str, Any]:
        (found,) = (finding for finding in self.report["findings"] if finding["layer"] == layer)
        return found


def read_report(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
