"""Torture vectors for integer inference: vectors/*.json, usable by any project.

    python -m vectors.make [--check]

Every case is a small operation on codes with what it means, and one class of fault that it is for: what an
implementation gives that has the fault, beside what is right. A case is kept only where the two differ, so that each
shows its fault. `--check`: exit code 1 where the files are not what would be written.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from vectors.oracle import add, average, layer_norm, requantise, softmax, table

FOLDER = Path(__file__).resolve().parent
FORMAT = "ares-vectors-1"
# Cases of each class, and how many draws may find none.
_EACH, _TRIES = 18, 20_000
OPERATIONS: Mapping[str, tuple[ModuleType, Callable[[dict[str, Any]], list[int]]]] = {
    "requantise": (requantise, requantise.linear),
    "add": (add, add.right),
    "average": (average, average.right),
    "softmax": (softmax, softmax.softmax),
    "layer_norm": (layer_norm, layer_norm.norm),
    "table": (table, table.table),
}


def content(name: str) -> str:
    """The file of one operation."""
    module, right = OPERATIONS[name]
    cases = []
    for fault, (says, wrong) in module.FAULTS.items():
        rng = random.Random(f"{name} {fault}")
        found: list[dict[str, Any]] = []
        for _ in range(_TRIES):
            case = module.draw(rng, fault)
            expected, gives = right(case), wrong(case)
            # Of all other classes the result is that of ONNX's rule, too.
            is_alike = wrong is module.after_rounding or module.after_rounding(case) == expected
            if expected != gives and is_alike:
                number = len(found)
                fields = {"name": f"{fault} {number}", "class": fault, "says": says, **case}
                found.append({**fields, "expected": expected, "faulty": gives})
            if len(found) == _EACH:
                break
        if not found:
            raise ValueError(f"{name}: no case shows {fault!r}")
        cases += found
    (meaning,) = (module.__doc__ or "").strip().splitlines()[:1]
    head = {"format": FORMAT, "operation": name, "meaning": meaning}
    rows = ",\n  ".join(json.dumps(case) for case in cases)
    return json.dumps(head, indent=1)[:-2] + f',\n "cases": [\n  {rows}\n ]\n}}\n'


def main(words: Sequence[str]) -> int:
    """Write or compare; the exit code."""
    parser = argparse.ArgumentParser(description="Torture vectors for integer inference.")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    asked = parser.parse_args(words)
    outdated = []
    for name in OPERATIONS:
        path, text = FOLDER / f"{name}.json", content(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            outdated.append(path.name)
            if not asked.check:
                path.write_text(text, encoding="utf-8")
    print(
        f"{'not as they would be' if asked.check else 'written'}: {', '.join(outdated) or 'none'}"
    )
    return 1 if asked.check and outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
