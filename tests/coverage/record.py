"""The record of a measurement, docs/evidence/coverage.json, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.coverage.measuring import Measured
from tests.coverage.outcomes import Condition
from tests.coverage.reasons import Reason
from tests.coverage.variants import BEYOND

COMMAND = "python tools/record_coverage.py --record"
SOURCES = (
    "runtime/inc/*.h",
    "runtime/src/*.c",
    "golden/ops_*/*",
    "tests/coverage/*.py",
    "ares/toolchain/*.h",
    "tests/coverage/*.toml",
)


def _counts(conditions: Iterable[Condition]) -> Mapping[str, int]:
    """Two branches a condition; conditions of larger decisions count for MC/DC."""
    found = list(conditions)
    decisive = [one for one in found if one.alone is not None]
    return {
        "branches": 2 * len(found),
        "branches_met": sum(one.true + one.false for one in found),
        "mcdc": len(decisive),
        "mcdc_met": sum(bool(one.alone) for one in decisive),
    }


def _by_file(found: Measured) -> Mapping[str, list[Condition]]:
    files: dict[str, list[Condition]] = {}
    for condition in found.runtime.values():
        files.setdefault(condition.file, []).append(condition)
    return dict(sorted(files.items()))


def table(found: Measured) -> list[str]:
    """A line for each file that has something unmet, and one for all."""
    lines = []
    for file, conditions in _by_file(found).items():
        counts = _counts(conditions)
        if any(condition.lacks for condition in conditions):
            lines.append(_line(file, counts))
    return [*lines, _line("all", _counts(found.runtime.values()))]


def _line(name: str, counts: Mapping[str, int]) -> str:
    branches = f"{counts['branches_met']} of {counts['branches']}"
    return f"{name:36} branches {branches:13} MC/DC {counts['mcdc_met']} of {counts['mcdc']}"


def figures(found: Measured, reasons: Sequence[Reason], unmet: Sequence[str]) -> Mapping[str, Any]:
    """What the record holds."""
    return {
        "subjects": list(found.subjects),
        "builds": list(found.variants),
        "all": dict(_counts(found.runtime.values())),
        "emitted": dict(_counts(found.emitted.values())),
        "files": {file: dict(_counts(some)) for file, some in _by_file(found).items()},
        "not_on_this_processor": list(BEYOND),
        "without_reason": list(unmet),
        "reasons": [
            {"file": one.file, "line": one.line, "lacks": list(one.lacks), "why": one.why}
            for one in reasons
        ],
    }
