"""`docs/targets.md`: the table of targets, and what the last whole run of the matrix found on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ares.documents.markdown import document, not_recorded
from ares.documents.run_summary import read_summary
from ares.pipeline.catalogue import Zoo
from ares.pipeline.expectations import EXPECTATIONS
from ares.pipeline.sampling import LARGE, ROUND
from ares.toolchain import TARGETS, Target
from ares.toolchain.processors import NATIVE

PATH = "docs/targets.md"
_ABSENT = "not recorded yet"
_TABLE = (
    "",
    "| target | processor | order | bits | micro-kernels | compiler and flags | exact | not exact, or not run | s |",
    "|---|---|---|---|---|---|---|---|---|",
)
_BELOW = (
    "",
    "\\* default: what `tox -e networks` runs, without any Debian package. micro-kernels: whose its programs must",
    f"say that they run; {NATIVE}: the best that this machine's processor has.",
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
)
_EXPECTED = (
    "",
    "## What is expected to fail",
    "",
    "A target that ends otherwise than its row says, also when it is exact, is a failure",
    "(`ares/pipeline/expectations.py`).",
    "",
    "| target | networks | fault | since | reason |",
    "|---|---|---|---|---|",
)


def content(root: Path, _current: str) -> str:
    """The page."""
    return targets_page(read_summary(root), Zoo(root).subjects)


def targets_page(summary: Mapping[str, Any], known: Sequence[str]) -> str:
    """The page of a run's summary. What is in the tables or among the `known` subjects but not in it is named."""
    facts = summary["targets"]
    boards = [target for target in TARGETS if target.machine.board is not None]
    return document(
        "Targets",
        [
            *_introduction(summary),
            *not_recorded(name for name in known if name not in summary["subjects"]),
            *_TABLE,
            *(_row(target, facts.get(target.name)) for target in TARGETS),
            *_BELOW,
            *(_board(target, facts.get(target.name)) for target in boards),
            *_EXPECTED,
            *(
                f"| `{row.target}` | `{row.network}` | {row.fault}: {row.words} | {row.since} | {row.reason} |"
                for row in EXPECTATIONS
            ),
        ],
    )


def _introduction(summary: Mapping[str, Any]) -> Sequence[str]:
    exact = sum(own["exact"] for own in summary["targets"].values())
    processors = {target.machine.isa for target in TARGETS}
    big = [target for target in TARGETS if target.machine.byte_order == "big"]
    return (
        "Every network of the zoo and every suite of the operations' unit cases on every compiler, processor",
        f"and set of flags: {len(TARGETS)} targets, {len(processors)} instruction sets, {len(big)} targets big-endian. "
        "`tox -e matrix` runs them all,",
        "`ares targets` says which of them can be used on a machine and what brings the others,",
        "`ares networks --target 's390x-*'` runs some. The rows stand in `ares/toolchain/targets.py`.",
        "",
        f"Recorded on {summary['date']}: {len(summary['subjects'])} networks and suites, {summary['cells']} cells, "
        f"{exact} of them compiled programs whose every layer",
        f"is exact, in {summary['seconds']} s on two cores. Seconds in the table: building and running, of all "
        "networks together.",
    )


def _row(target: Target, own: Mapping[str, Any] | None) -> str:
    machine = target.machine
    found = (
        f"{_ABSENT} | | |"
        if own is None
        else f"{own['exact']} | {_others(own)} | {own['seconds']} |"
    )
    flags = " ".join(_telling_flags(target))
    return (
        f"| `{target.name}`{' *' if target.default else ''} | {machine.isa} | {machine.byte_order} "
        f"| {machine.pointer_bits} | {target.instruction_set} | {target.family} `{flags}` | {found}"
    )


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


def _board(target: Target, own: Mapping[str, Any] | None) -> str:
    if own is None:
        return f"| `{target.name}` | {_ABSENT} | |"
    deepest = f"{own['stack'][1]} bytes (`{own['stack'][0]}`)" if own["stack"] else ""
    large = "<br>".join(f"`{name}`: {need}" for name, need in own["too_large"].items())
    return f"| `{target.name}` | {deepest} | {large or 'none'} |"
