"""Proves the requantiser: `python -m tests.theorems [NAME...] [--record]`.

Shows a line a theorem. `--record` writes docs/evidence/theorems.json, of all of them. Exit code 0: all proved; 1: one
is refuted, with its counterexample, or not decided in time; 2: could not be run.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ares.cli.interrupts import interruptible
from ares.evidence import write_record
from tests.theorems.asking import Outcome
from tests.theorems.compiling import CannotCompile
from tests.theorems.theorems import SECONDS, THEOREMS, Theorem

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python -m tests.theorems --record"
SOURCES = (
    "runtime/inc/*.h",
    "runtime/src/micro_*.c",
    "tests/theorems/*.py",
    "tests/theorems/*.c",
)
NOT_PROVED = {
    "micro_dsp.c": "its rounding is assembler, which no compiler reads; tests/runtime compares it",
    "micro_mve.c": "its rounding is assembler too",
    "micro_rvv.c": "vectors without a length; tests/runtime compares it at 128 and 256 bits",
    "micro_steps_avx512.c": "searches tables, which are data; tests/runtime compares it",
}


def main(arguments: list[str]) -> int:
    """Prove, show, record; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    names = [theorem.name for theorem in THEOREMS]
    parser.add_argument("theorem", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a question may take")
    parser.add_argument("--record", action="store_true", help="write docs/evidence/theorems.json")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.theorem if name not in names]
    if unknown or (asked.record and asked.theorem):
        parser.error(f"no theorem {unknown[0]!r}" if unknown else "--record is of all theorems")
    chosen = [one for one in THEOREMS if not asked.theorem or one.name in asked.theorem]
    found = {}
    try:
        for theorem in chosen:
            start = time.process_time()
            found[theorem.name] = (theorem.prove(None, asked.seconds), time.process_time() - start)
            print(_line(theorem, *found[theorem.name]), flush=True)
    except (CannotCompile, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if asked.record:
        rows = [_row(theorem, *found[theorem.name]) for theorem in chosen]
        figures = {"theorems": rows, "seconds_a_question": asked.seconds, "not_proved": NOT_PROVED}
        write_record(ROOT, "theorems", COMMAND, SOURCES, figures)
    return 0 if all(outcome.verdict == "proved" for outcome, _ in found.values()) else 1


def _line(theorem: Theorem, outcome: Outcome, seconds: float) -> str:
    numbers = "".join(f"\n    {name} = {value}" for name, value in outcome.numbers.items())
    asked = f"{outcome.questions} questions, {seconds:.0f} s"
    return f"{theorem.name:26} {outcome.verdict:8} {asked:24} {theorem.says}{numbers}"


def _row(theorem: Theorem, outcome: Outcome, seconds: float) -> dict[str, object]:
    return {
        "name": theorem.name,
        "says": theorem.says,
        "for_all": theorem.free,
        "verdict": outcome.verdict,
        "questions": outcome.questions,
        "processor_seconds": round(seconds),
        **({"counterexample": dict(outcome.numbers)} if outcome.numbers else {}),
    }


if __name__ == "__main__":
    with interruptible():
        sys.exit(main(sys.argv[1:]))
