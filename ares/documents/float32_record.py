"""`docs/fidelity.json`: every network of the zoo against its float32 model, as `tools/record_fidelity.py` found it.

Recorded, not part of the goldens: which codes of a float32 run fall on the other side of a tie depends on the order in
which a machine adds. That none is unexplained does not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ares.witness_partings import Float32Run

RECORD = "docs/fidelity.json"


def read_record(root: Path) -> Mapping[str, Any]:
    """Network -> its facts; empty where nothing is recorded yet."""
    path = root / RECORD
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def facts(run: Float32Run) -> Mapping[str, Any]:
    """What is kept of a run: counts, and the tie that float32 crossed from farthest, beside what it may."""
    counts = {key: value for key, value in run.as_json().items() if key != "partings"}
    farthest = max(run.partings, key=lambda parting: parting.distance, default=None)
    if farthest is not None:
        counts |= {
            "distance": float(f"{farthest.distance:.1e}"),
            "allowed": float(f"{farthest.allowed:.1e}"),
        }
    return {**counts, "torch": version("torch")}


def with_facts(record: Mapping[str, Any], name: str, found: Mapping[str, Any]) -> str:
    """The record with these facts of a network: JSON text."""
    return json.dumps({**record, name: found}, indent=1, sort_keys=True) + "\n"
