"""The vectors in other runtimes: which classes of faults each shows.

    python -m vectors.run [--runtime NAME ...] [--operation NAME ...]

Each case becomes an ONNX model of one operation. A class is `shown` where some case of it gives what that fault gives,
`wrong` where something else comes out. ONNX itself adds the zero point after rounding: of that class a runtime that
follows ONNX shows every case. Exit code 0: all is right but that; 1: not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ares.runtimes import Failed, Request, Runtime, chosen, run_models
from vectors.make import OPERATIONS
from vectors.models import model_of

FOLDER = Path(__file__).resolve().parent
BY_ONNX = "zero point after rounding"
RIGHT, SHOWN, WRONG, FAILED = "right", "shown", "wrong", "failed"


def judged(runtime: Runtime, operation: str) -> dict[str, Counter[str]]:
    """Class -> how many cases came out right, as that fault gives them, otherwise wrong, or not at all."""
    cases = json.loads((FOLDER / f"{operation}.json").read_text(encoding="utf-8"))["cases"]
    models = [model_of(operation, case) for case in cases]
    ran = run_models(runtime, [Request(data, [inputs]) for data, inputs in models])
    found: dict[str, Counter[str]] = {}
    for case, result in zip(cases, ran, strict=True):
        counts = found.setdefault(case["class"], Counter())
        if isinstance(result, Failed):
            counts[FAILED] += 1
            continue
        codes = result.cases[0]["y"].reshape(-1).tolist()
        kinds = {tuple(case["faulty"]): SHOWN, tuple(case["expected"]): RIGHT}
        counts[kinds.get(tuple(codes), WRONG)] += 1
    return found


def main(words: Sequence[str]) -> int:
    """A line for each class that is not right, and a summary a runtime."""
    parser = argparse.ArgumentParser(description="The vectors in other runtimes.")
    parser.add_argument("--runtime", action="append", default=[], help="name or glob; default: all")
    parser.add_argument("--operation", action="append", choices=[*OPERATIONS], help="default: all")
    asked = parser.parse_args(words)
    is_right = True
    for runtime in chosen(asked.runtime):
        if runtime.missing():
            print(f"{runtime.name}: not run: {runtime.missing()}")
            continue
        total: Counter[str] = Counter()
        for operation in asked.operation or OPERATIONS:
            for fault, counts in judged(runtime, operation).items():
                total.update(counts)
                if counts[RIGHT] < counts.total():
                    is_right &= fault == BY_ONNX
                    words_of = ", ".join(f"{count} {what}" for what, count in counts.items())
                    print(f"{runtime.name}: {operation}: {fault}: {words_of}", flush=True)
        parts = ", ".join(f"{total[what]} {what}" for what in (RIGHT, SHOWN, WRONG, FAILED))
        print(f"{runtime.name} {runtime.version}: of {total.total()} cases {parts}", flush=True)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
