"""Judge the networks of tests/models and record it: `python tools/record_models.py [NAME ...] [--list]`.

Each runs in a process of its own (`python -m tests.models.judging NAME`), one after the other, on the default targets.
What is found replaces its row in docs/models.json, and docs/models.md is written anew. Exit code 1 when a network that
was accepted is not exact, 2 for a name that nothing has or a process that broke.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ares.cli.interrupts import interruptible  # noqa: E402 - found through the line above
from ares.documents.pages.models import PATH, SUMMARY, content, read_summary  # noqa: E402
from ares.files import write_file  # noqa: E402
from ares.toolchain import default_targets  # noqa: E402
from ares.toolchain.process import run_process  # noqa: E402

_PACKAGES = ("torch", "torchvision", "brevitas")
# Longer than any takes.
_TIMEOUT_S = 3 * 3600
# For the compilers of one that is interrupted.
_GRACE_S = 1.0


class Broken(Exception):
    """The judging process ended without an answer."""


def main(arguments: list[str]) -> int:
    """Judge, record, write the page; the exit code."""
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    from tests.models.catalogue import MODELS

    if arguments == ["--list"]:
        print("\n".join(MODELS))
        return 0
    unknown = [name for name in arguments if name not in MODELS]
    if unknown:
        print(f"unknown network {unknown[0]!r}; --list names them all", file=sys.stderr)
        return 2
    names = arguments or list(MODELS)
    code = 0
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name} ... ", end="", flush=True)
        start = time.monotonic()
        try:
            row = _judged(name)
        except Broken as error:
            print(f"BROKE: {error}", flush=True)
            code = 2
            continue
        print(f"{row['verdict']}, {time.monotonic() - start:.0f} s", flush=True)
        if row["verdict"] == "not exact":
            code = max(code, 1)
        _write(row, list(MODELS))
    return code


def _judged(name: str) -> Mapping[str, Any]:
    command = [sys.executable, "-P", "-m", "tests.models.judging", name]
    done = run_process(
        command,
        folder=ROOT,
        timeout=_TIMEOUT_S,
        environment={"PYTHONPATH": str(ROOT)},
        grace=_GRACE_S,
    )
    if done.code is None:
        raise Broken(f"no answer in {_TIMEOUT_S} s")
    if done.code != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Broken(f"exit code {done.code}: {last}")
    # What libraries say on standard output comes before the answer, which is one line.
    found: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _write(row: Mapping[str, Any], order: Sequence[str]) -> None:
    """Into the summary, after every network: a run that is stopped has lost nothing."""
    rows = {old["name"]: old for old in read_summary(ROOT)["models"]} | {row["name"]: row}
    summary = {
        "date": date.today().isoformat(),
        "versions": {package: version(package) for package in _PACKAGES},
        "targets": [target.name for target in default_targets()],
        "models": [rows[name] for name in order if name in rows],
        "absent": [name for name in order if name not in rows],
    }
    write_file(ROOT / SUMMARY, (json.dumps(summary, indent=1) + "\n").encode())
    write_file(ROOT / PATH, content(ROOT, "").encode())


if __name__ == "__main__":
    with interruptible():
        sys.exit(main(sys.argv[1:]))
