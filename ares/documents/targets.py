"""What a whole run of the matrix found, in few words: `docs/targets.json`, from which `docs/targets.md` is made.

Made from the JSON that `ares networks --json-out` writes, never by hand.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ares.pipeline.catalogue import network_names, suite_names
from ares.pipeline.expectations import EXPECTATIONS
from ares.pipeline.sampling import LARGE, ROUND
from ares.toolchain import TARGETS, Target

RECORD = "docs/targets.json"
_STAGES = tuple(f"c[{target.name}]" for target in TARGETS)
# As many as a message can name.
_NAMED = 5


class RecordError(ValueError):
    """A file that is no result of a whole run."""


def summarise(results: str, day: date) -> str:
    """The record of a run: JSON text. Raises RecordError, one line, for a run that failed or was not whole."""
    try:
        return _summary(json.loads(results), day)
    except RecordError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise RecordError(
            f"not the JSON of ares networks --json-out: {type(error).__name__}: {error}"
        ) from None


def _summary(run: Mapping[str, Any], day: date) -> str:
    verdicts = run["verdicts"]
    outcomes = Counter(verdict["outcome"] for verdict in verdicts)
    cells = {(verdict["network"], verdict["stage"]) for verdict in verdicts}
    names = (*network_names(), *suite_names())
    absent = [target.name for target in TARGETS if target.name not in run["targets"]]
    absent += [name for name in names if not any((name, stage) in cells for stage in _STAGES)]
    absent = absent or [
        f"{name} {stage}" for name in names for stage in _STAGES if (name, stage) not in cells
    ]
    if outcomes["fail"] or outcomes["not run"] or absent:
        named = f" ({', '.join(absent[:_NAMED])}{', ...' if len(absent) > _NAMED else ''})"
        raise RecordError(
            f"only a whole run is recorded: {outcomes['fail']} cells failed, {outcomes['not run']} did not run, "
            f"{len(absent)} targets, subjects or cells are absent{named if absent else ''}; "
            "run ares networks --target '*' --json-out FILE"
        )
    record = {
        "date": day.isoformat(),
        "seconds": round(run["seconds"]),
        "cells": len(verdicts),
        "subjects": list(dict.fromkeys(verdict["network"] for verdict in verdicts)),
        "targets": {
            target.name: _facts([v for v in verdicts if v["stage"] == f"c[{target.name}]"])
            for target in TARGETS
        },
    }
    return json.dumps(record, indent=1) + "\n"


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


def targets_page(record: Mapping[str, Any], notice: str) -> str:
    """`docs/targets.md`. Raises RecordError when the table has a target that was not recorded."""
    facts = record["targets"]
    unknown = [target.name for target in TARGETS if target.name not in facts]
    if unknown:
        raise RecordError(
            f"{RECORD} knows no {', '.join(unknown)}; run ares networks --target '*' --json-out FILE, "
            "then python tools/generate_docs.py --results FILE"
        )
    exact = sum(own["exact"] for own in facts.values())
    processors = {target.machine.isa for target in TARGETS}
    big = [target for target in TARGETS if target.machine.byte_order == "big"]
    lines = [
        "# Targets",
        "",
        notice,
        "",
        "Every network of the zoo and every suite of the operations' unit cases on every compiler, processor",
        f"and set of flags: {len(TARGETS)} targets, {len(processors)} instruction sets, {len(big)} targets big-endian. "
        "`tox -e matrix` runs them all,",
        "`ares targets` says which of them can be used on a machine and what brings the others,",
        "`ares networks --target 's390x-*'` runs some. The rows stand in `ares/toolchain/targets.py`.",
        "",
        f"Recorded on {record['date']}: {len(record['subjects'])} networks and suites, {record['cells']} cells, "
        f"{exact} of them compiled programs whose every layer",
        f"is exact, in {record['seconds']} s on two cores. Seconds in the table: building and running, of all "
        "networks together.",
        "",
        "| target | processor | order | bits | compiler and flags | exact | not exact, or not run | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for target in TARGETS:
        own = facts[target.name]
        machine = target.machine
        lines.append(
            f"| `{target.name}`{' *' if target.default else ''} | {machine.isa} | {machine.byte_order} "
            f"| {machine.pointer_bits} | {target.family} `{' '.join(_telling_flags(target))}` | {own['exact']} "
            f"| {_others(own)} | {own['seconds']} |"
        )
    lines += [
        "",
        "\\* default: what `tox -e networks` runs, without any Debian package.",
        "",
        "## Large networks",
        "",
        f"A network of more than {LARGE // 10**6} million multiply-accumulates runs on every default target every "
        "time. On the others it takes turns:",
        f"network i meets target j on the days d on which i + j + d is a multiple of {ROUND}, so that every pair comes",
        f"round every {ROUND} days, with one case of its golden, the next one each time",
        "(`ares/pipeline/sampling.py`). `--all-cells` runs all at once. Networks of the",
        "convolutional and dense table, and the operations' unit cases, are never left out.",
        "",
        "## Boards",
        "",
        "Programs for boards run without an operating system: our own start-up code and linker scripts",
        "(`runtime/boards`), no C library, no heap. A network whose program does not fit the board's memory is too",
        "large for it; the need is what the linker counted. Stack: the deepest that any network went, measured.",
        "",
        "| board | deepest stack | too large |",
        "|---|---|---|",
        *_boards(facts),
        "",
        "## What is expected to fail",
        "",
        "A target that ends otherwise than its row says, also when it is exact, is a failure",
        "(`ares/pipeline/expectations.py`).",
        "",
        "| target | networks | fault | since | reason |",
        "|---|---|---|---|---|",
        *(
            f"| `{row.target}` | `{row.network}` | {row.fault}: {row.words} | {row.since} | {row.reason} |"
            for row in EXPECTATIONS
        ),
    ]
    return "\n".join([*lines, ""])


def _telling_flags(target: Target) -> list[str]:
    """The flags that tell a target from others."""
    common = ("-W", "-ffunction-sections", "-fdata-sections")
    return [flag for flag in target.flags if not flag.startswith(common)]


def _others(own: Mapping[str, Any]) -> str:
    parts = []
    if own["expected"]:
        parts.append(f"{own['expected']} failed as expected")
    if own["sampled"]:
        parts.append(f"{own['sampled']} large: sampled")
    if own["too_large"]:
        parts.append(f"{len(own['too_large'])} too large")
    return "; ".join(parts)


def _boards(facts: Mapping[str, Any]) -> Iterator[str]:
    for target in TARGETS:
        if target.machine.board is None:
            continue
        own = facts[target.name]
        deepest = f"{own['stack'][1]} bytes (`{own['stack'][0]}`)" if own["stack"] else ""
        large = "<br>".join(f"`{name}`: {need}" for name, need in own["too_large"].items())
        yield f"| `{target.name}` | {deepest} | {large or 'none'} |"
