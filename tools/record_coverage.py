"""Which conditions of the C the stored suites meet: `python tools/record_coverage.py [--record]`.

Every suite of unit cases runs in every build of tests/coverage/variants.py; `--network NAME` adds networks. What is not
met and has no reason in tests/coverage/reasons.toml is listed, as are reasons of what is met. `--record` writes
docs/evidence/coverage.json, of all suites and builds only. Exit code 0: all met, or a reason each; 1: not; 2: not
measured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ares.cli.interrupts import interruptible  # noqa: E402 - found through the line above
from ares.evidence import write_record  # noqa: E402
from ares.pipeline.catalogue import UnknownNetwork, Zoo  # noqa: E402
from ares.pipeline.network import NetworkSubject  # noqa: E402
from ares.pipeline.suite import SuiteSubject  # noqa: E402
from tests.coverage.measuring import CoverageError, Measured, measure  # noqa: E402
from tests.coverage.reasons import gone, judge, read_reasons  # noqa: E402
from tests.coverage.record import COMMAND, SOURCES, figures, table  # noqa: E402
from tests.coverage.variants import label, variants  # noqa: E402


def main(arguments: list[str]) -> int:
    """Measure, judge, show; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--suite", action="append", help="default: all")
    parser.add_argument(
        "--network", action="append", default=[], help="networks of the zoo besides"
    )
    parser.add_argument("--variant", action="append", choices=[label(one) for one in variants()])
    parser.add_argument("--record", action="store_true", help="write docs/evidence/coverage.json")
    asked = parser.parse_args(arguments)
    if asked.record and (asked.suite or asked.variant):
        parser.error("--record is of all suites and builds")
    zoo = Zoo(ROOT)
    targets = [one for one in variants() if asked.variant is None or label(one) in asked.variant]
    try:
        networks = [NetworkSubject(zoo.paths(name)) for name in asked.network]
        suites = [
            SuiteSubject(zoo.golden / zoo.subject(name)) for name in asked.suite or zoo.suites
        ]
        for target in targets:
            if target.missing():
                raise CoverageError(f"{target.name}: {target.missing()}")
        found = measure([*suites, *networks], targets, lambda words: print(words, file=sys.stderr))
    except (CoverageError, UnknownNetwork) as error:
        print(error, file=sys.stderr)
        return 2
    return _judged(found, is_whole=not (asked.suite or asked.variant), is_recorded=asked.record)


def _judged(found: Measured, *, is_whole: bool, is_recorded: bool) -> int:
    reasons = read_reasons()
    unmet, idle = judge(found.runtime.values(), reasons, ROOT)
    # A part meets less than all; what it meets needs no reason all the same.
    emitted = [
        f"{one.file}:{one.span[0]}: {', '.join(one.lacks)}" for one in found.emitted.values()
    ]
    faults = [*gone(reasons, ROOT), *unmet, *idle, *emitted]
    print("\n".join([*table(found), *faults]))
    if is_recorded:
        write_record(ROOT, "coverage", COMMAND, SOURCES, figures(found, reasons, unmet))
    words = "nothing is without a reason" if is_whole else "of this part nothing is"
    print(f"{len(faults)} faults" if faults else words)
    return 1 if faults else 0


if __name__ == "__main__":
    with interruptible():
        sys.exit(main(sys.argv[1:]))
