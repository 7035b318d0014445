"""What a whole run of the matrix found, in few words: `docs/targets.json`, from which `docs/targets.md` is made.

Made from the JSON that `ares networks --json-out` writes, never by hand. It may be older than the tables: what has come
since is shown as not recorded yet.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from ares.toolchain import TARGETS

SUMMARY = "docs/targets.json"
# As many as a message can name.
_NAMED = 5


class SummaryError(ValueError):
    """A file that is no result of a whole run."""


def read_summary(root: Path) -> Mapping[str, Any]:
    """What `summarise` wrote last."""
    found: Mapping[str, Any] = json.loads((root / SUMMARY).read_text(encoding="utf-8"))
    return found


def summarise(results: str, subjects: Sequence[str], day: date) -> str:
    """The summary of a run of all `subjects` on all targets: JSON text.

    Raises SummaryError, one line, for a run that failed or was not whole.
    """
    try:
        return _summary(json.loads(results), subjects, day)
    except SummaryError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise SummaryError(
            f"not the JSON of ares networks --json-out: {type(error).__name__}: {error}"
        ) from None


def _summary(run: Mapping[str, Any], subjects: Sequence[str], day: date) -> str:
    verdicts = run["verdicts"]
    outcomes = Counter(verdict["outcome"] for verdict in verdicts)
    cells = {(verdict["network"], verdict["target"]) for verdict in verdicts}
    absent = [target.name for target in TARGETS if target.name not in run["targets"]]
    absent += [name for name in subjects if not any((name, t.name) in cells for t in TARGETS)]
    absent = absent or [
        f"{name} {target.stage}"
        for name in subjects
        for target in TARGETS
        if (name, target.name) not in cells
    ]
    if outcomes["fail"] or outcomes["not run"] or absent:
        named = f" ({', '.join(absent[:_NAMED])}{', ...' if len(absent) > _NAMED else ''})"
        raise SummaryError(
            f"only a whole run is recorded: {outcomes['fail']} cells failed, {outcomes['not run']} did not run, "
            f"{len(absent)} targets, subjects or cells are absent{named if absent else ''}; "
            "run ares networks --target '*' --json-out FILE"
        )
    summary = {
        "date": day.isoformat(),
        "seconds": round(run["seconds"]),
        "cells": len(verdicts),
        "subjects": list(dict.fromkeys(verdict["network"] for verdict in verdicts)),
        "targets": {
            target.name: _facts([v for v in verdicts if v["target"] == target.name])
            for target in TARGETS
        },
    }
    return json.dumps(summary, indent=1) + "\n"


def _facts(verdicts: list[Mapping[str, Any]]) -> dict[str, Any]:
    outcomes = Counter(verdict["outcome"] for verdict in verdicts)
    stacks = {v["network"]: v["stack"] for v in verdicts if v["stack"] is not None}
    deepest = max(stacks, key=lambda name: (stacks[name], name), default=None)
    return {
        "exact": outcomes["pass"],
        "expected": outcomes["expected"],
        "sampled": sum(v["fault"] == "sampled" for v in verdicts),
        "too_large": {v["network"]: v["message"] for v in verdicts if v["fault"] == "too large"},
        "seconds": round(sum(v["seconds"] for v in verdicts), 1),
        "stack": None if deepest is None else [deepest, stacks[deepest]],
    }
