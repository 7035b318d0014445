"""The record of a campaign, `docs/evidence/fuzz.json`: written when it came to its end, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ares.evidence import write_record
from ares.fuzzer.campaign import Tally
from ares.fuzzer.coverage import as_json
from ares.fuzzer.found import FOLDER, all_found
from ares.toolchain import select

PART = "fuzz"
PATTERNS = ("ares/**/*.py", "ares/emit/templates/*.j2", "runtime/**/*.[ch]", f"{FOLDER}/*.json")
"""What a campaign rests on: all of the path from a model to its verdict."""


class NotWhole(ValueError):
    """A campaign that is no evidence: it was stopped, found something, or compared nothing."""


def write(tally: Tally, root: Path, command: str) -> Path:
    """Write the record of a campaign below the checkout; its path.

    `command` makes it again. Raises NotWhole for a campaign that did not come to its end, or found something:
    what is found is mended first, and kept in tests/fuzzer/found.
    """
    if tally.interrupted or tally.done != tally.planned:
        raise NotWhole(f"{tally.done} of {tally.planned} graphs were judged: a record needs all")
    if tally.findings:
        symptoms = ", ".join(sorted(tally.findings))
        raise NotWhole(f"something was found, which is to be mended first: {symptoms}")
    if not tally.layers:
        raise NotWhole("nothing was compared")
    return write_record(root, PART, command, PATTERNS, figures(tally, root))


def figures(tally: Tally, root: Path) -> dict[str, Any]:
    """What a record says beside what every record has."""
    found = list(all_found(root / FOLDER))
    return {
        "seeds": [tally.first, tally.first + tally.planned - 1],
        "graphs": tally.done,
        "accepted": tally.accepted,
        "refused": dict(sorted(tally.refusals.items(), key=lambda row: (-row[1], row[0]))),
        "cases": tally.cases,
        "layers": tally.layers,
        "targets": _compilers(tally.targets),
        "seconds": round(tally.seconds, 1),
        "graphs_per_second": round(tally.rate, 2),
        "seconds_by_stage": {name: round(s, 1) for name, s in sorted(tally.stages.items())},
        "operations": dict(sorted(tally.operations.items())),
        "coverage": as_json(tally.cells),
        "found": [
            {"name": each.name, "once": each.once, "by": each.by, "date": each.date}
            for each in found
        ],
    }


def _compilers(names: Sequence[str]) -> dict[str, str]:
    """Each target with what its compiler says of itself, without the place where it lies."""
    chosen = select(list(names)) if names else ()
    return {each.name: each.compiler_identity().partition(" at ")[0] for each in chosen}
