"""Other runtimes on the networks of the zoo: docs/evidence/runtimes.json, and from it docs/runtimes.md.

    python tools/record_runtimes.py [NAME ...] [--runtime NAME ...]

Every network, layer by layer and as deployed, in every runtime that is installed; what differs is in the record with
its cause. With names: what is found of these, and nothing is written. Which integers a runtime gives may depend on the
processor, which the record names.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ares.comparer import Comparison, Parts, Row, compare
from ares.comparer.rendering import summary
from ares.evidence import write_record
from ares.pipeline.catalogue import Zoo
from ares.pipeline.jobs import subject_of
from ares.resources import checkout_dir
from ares.runtimes import Runtime, chosen
from ares.toolchain.processors import native_instruction_set

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from vectors.make import OPERATIONS  # noqa: E402 - found through the line above
from vectors.run import RIGHT, judged  # noqa: E402 - found through the line above

PATTERNS = (
    *("ares/comparer/*.py", "ares/interchange/**/*.py", "ares/runtimes/*.py"),
    *("ares/witness_onnx.py", "golden/test_*/*", "vectors/*.json", "vectors/*.py"),
)


def main(words: Sequence[str]) -> int:
    """Compare, say a line a network and runtime, record."""
    parser = argparse.ArgumentParser(description="Other runtimes on the networks of the zoo.")
    parser.add_argument(
        "names", nargs="*", help="networks; default: all, and the record is written"
    )
    parser.add_argument("--runtime", action="append", default=[], help="a runtime or glob")
    asked = parser.parse_args(words)
    root = checkout_dir()
    zoo = Zoo(root)
    runtimes = [each for each in chosen(asked.runtime) if each.missing() is None]
    networks: dict[str, dict[str, Any]] = {}
    start = time.monotonic()
    for name in [zoo.paths(each).name for each in asked.names] or zoo.networks:
        networks[name] = {each.runtime: figures(each) for each in compared(zoo, name, runtimes)}
    print(f"{len(networks)} networks in {len(runtimes)} runtimes, {time.monotonic() - start:.0f} s")
    if not asked.names and not asked.runtime:
        found = {
            "processor": native_instruction_set(),
            "runtimes": {each.name: f"{each.says}, {each.version}" for each in runtimes},
            "networks": networks,
            "vectors": {each.name: of_vectors(each) for each in runtimes},
        }
        write_record(root, "runtimes", "python tools/record_runtimes.py", PATTERNS, found)
    return 0


def of_vectors(runtime: Runtime) -> dict[str, dict[str, int]]:
    """Operation and class of the torture vectors -> how many cases came out how, where not all are right."""
    found = {}
    for operation in OPERATIONS:
        for fault, counts in judged(runtime, operation).items():
            if counts[RIGHT] < counts.total():
                found[f"{operation}: {fault}"] = dict(counts)
        print(f"{runtime.name}: vectors of {operation}", flush=True)
    return found


def compared(zoo: Zoo, name: str, runtimes: Sequence[Runtime]) -> list[Comparison]:
    """One network in all runtimes, with a line each."""
    subject = subject_of(zoo, name)
    cases = [
        {**subject.expected(number), **dict(zip(subject.graph.inputs, case.inputs, strict=True))}
        for number, case in enumerate(subject.golden.cases)
    ]
    parts = Parts(subject.graph, cases)
    found = []
    for runtime in runtimes:
        found.append(compare(parts, runtime, lambda _words: None))
        print(summary(found[-1]), flush=True)
    return found


def figures(comparison: Comparison) -> dict[str, Any]:
    """Of both views, counted; of the layers also the first that differs and what explains them."""
    layers = comparison.layers
    wrong = [row for row in layers if row.verdict == "differs"]
    unsaid = [f"{row.op_type}: {row.words}" for row in layers if row.verdict == "unsaid"]
    return {
        "layers": counted(layers),
        "first": wrong[0].layer if wrong else "",
        "causes": dict(Counter(row.cause or "none found" for row in wrong)),
        "theirs": max((row.theirs for row in wrong), default=0.0),
        "ours": max((row.ours for row in wrong), default=0.0),
        "unsaid": unsaid[:1],
        "failed": [f"{row.layer}: {row.words}" for row in layers if row.verdict == "failed"][:1],
        "deployed": counted(comparison.deployed),
        "why": next((row.words for row in comparison.deployed if row.words), ""),
    }


def counted(rows: Sequence[Row]) -> dict[str, Any]:
    """How many of each verdict, how many codes differ of how many, by how much."""
    return {
        **Counter(row.verdict for row in rows),
        "codes": sum(row.codes for row in rows),
        "differing": sum(row.differing for row in rows),
        "largest": max((row.largest for row in rows), default=0.0),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
