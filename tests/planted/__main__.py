"""Plants every fault, has it judged, asks the other methods, and records all of it.

    python -m tests.planted [FAULT-OR-FAMILY...] [--record] [--without-rivals]

Ends with 0 when every fault was seen with the stage, the kind and the layer that its row says.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ares.evidence import write_record
from ares.verdict import Outcome
from tests.checkout import ROOT
from tests.planted.faults import Fault, InHarness
from tests.planted.planting import (
    NOBODY,
    TOLERANCE,
    compare,
    is_right,
    judge,
    names_layer,
    rivals_of_right,
    stage_of,
)
from tests.planted.preparing import Prepared, prepared
from tests.planted.registry import ESCAPES, FAULTS
from tests.toolchain.tiny_network import portable_target

COMMAND = "python -m tests.planted --record"
_PATH = "capture,checker,emit,extract,golden,ir,nn,numerics,ops,pipeline,plan,toolchain,verdict,verifier"
PATTERNS = (
    *(f"ares/{part}/**/*.py" for part in _PATH.split(",")),
    "ares/witness*.py",
    "ares/emit/templates/*.j2",
    "runtime/**/*.[ch]",
    "tests/planted/**/*.py",
)
"""What the faults are planted in and judged by: the path from a model to its verdict."""


def main() -> int:
    """Run what is asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FAULT", help="ids, families or subjects; all")
    parser.add_argument("--record", action="store_true", help="write docs/evidence/planted.json")
    parser.add_argument("--without-rivals", action="store_true", help="ask no other method")
    asked = parser.parse_args()
    if asked.record and (asked.names or asked.without_rivals):
        parser.error("a record is of all faults and all methods")
    chosen = [fault for fault in FAULTS if not asked.names or _named(fault, asked.names)]
    if not chosen:
        parser.error(f"no fault, family or subject is called {' or '.join(asked.names)}")
    rows = _run(chosen, ask_rivals=not asked.without_rivals)
    right = [row for row in rows if row["caught"] and row["right"]]
    sys.stdout.write(f"{_summary(rows)}\n")
    if asked.record:
        if len(right) < len(rows):
            sys.stdout.write("nothing is recorded: not every fault was named\n")
            return 1
        figures = _figures(rows, _run(ESCAPES, ask_rivals=True, complain=False))
        path = write_record(ROOT, "planted", COMMAND, PATTERNS, figures)
        sys.stdout.write(f"recorded in {path.relative_to(ROOT)}\n")
    return 0 if len(right) == len(rows) else 1


def _named(fault: Fault, names: Sequence[str]) -> bool:
    return any(name in (fault.id, fault.family, fault.subject) for name in names)


def _run(
    faults: Sequence[Fault], *, ask_rivals: bool, complain: bool = True
) -> list[dict[str, Any]]:
    """One row a fault, subject by subject."""
    rows = {}
    target = portable_target()
    with tempfile.TemporaryDirectory(prefix="ares-planted-") as folder:
        for subject in sorted({fault.subject for fault in faults}):
            right = prepared(subject, target, Path(folder))
            if ask_rivals and rivals_of_right(right) != NOBODY:
                raise SystemExit(f"{subject}: a method objects to what is right")
            for fault in (fault for fault in faults if fault.subject == subject):
                rows[fault.id] = _row(fault, right, ask_rivals=ask_rivals)
                if complain and not (rows[fault.id]["caught"] and rows[fault.id]["right"]):
                    sys.stdout.write(f"{_complaint(fault, rows[fault.id])}\n")
                elif sys.stdout.isatty():
                    sys.stdout.write(f"\r{len(rows)} of {len(faults)}: {fault.id:<50.50}")
                sys.stdout.flush()
    return [rows[fault.id] for fault in faults]


def _row(fault: Fault, right: Prepared, *, ask_rivals: bool) -> dict[str, Any]:
    compared = ask_rivals and not isinstance(fault.plant, InHarness)
    others = NOBODY
    try:
        if compared:
            verdict, others = compare(fault, right)
        else:
            verdict = judge(fault, right)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        verdict = right.session.succeed("none", f"cannot be planted: {error!r}")
    return {
        "id": fault.id,
        "what": fault.what,
        "planted": type(fault.plant).__name__,
        "subject": fault.subject,
        "caught": verdict.outcome is Outcome.FAIL,
        "stage": stage_of(verdict),
        "kind": verdict.fault,
        "layer": fault.layer if names_layer(verdict, fault.layer) else verdict.layer,
        "wanted": [fault.seen_by, fault.fault, fault.layer],
        "right": is_right(fault, verdict),
        "says": verdict.message,
        "rivals": asdict(others) if compared else None,
    }


def _complaint(fault: Fault, row: dict[str, Any]) -> str:
    found = "nothing" if not row["caught"] else f"{row['stage']} {row['kind']} {row['layer']!r}"
    wanted = f"{fault.seen_by} {fault.fault} {fault.layer!r}"
    said = row["says"].splitlines()[0][:200] if row["says"] else ""
    return f"{fault.id} ({fault.subject}): found {found}, wanted {wanted}: {fault.what}\n  {said}"


def _recorded(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "says"} for row in rows]


def _figures(rows: Sequence[dict[str, Any]], escapes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    compared = [row["rivals"] for row in rows if row["rivals"] is not None]
    return {
        "faults": len(rows),
        "named": sum(row["right"] for row in rows),
        "compared": len(compared),
        "tolerance": TOLERANCE,
        "rivals": {key: sum(row[key] for row in compared) for key in compared[0]},
        "rows": _recorded(rows),
        "escapes": _recorded(escapes),
    }


def _summary(rows: Sequence[dict[str, Any]]) -> str:
    named = sum(row["caught"] and row["right"] for row in rows)
    lines = [
        f"{named} of {len(rows)} planted faults were seen, with the right stage and layer named"
    ]
    compared = [row["rivals"] for row in rows if row["rivals"] is not None]
    if compared:
        total = len(compared)
        near, exact, twin = (
            sum(row[key] for row in compared) for key in ("outputs_near", "outputs_exact", "twin")
        )
        lines += [
            f"of the {total} that are not the harness's own, others would have seen",
            f"  {near}: final outputs within {TOLERANCE:.0%} of the Brevitas model's",
            f"  {exact}: final outputs exactly",
            f"  {twin}: every layer of the C against its own Python",
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
