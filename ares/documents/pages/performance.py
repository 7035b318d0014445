"""`docs/performance.md`: what was measured with `ares bench --record`, and on what machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ares.bench.record import Comparison, Cost, Spread
from ares.bench.rendering import per_mac, three, time
from ares.bench.speed import Compared, read_speed
from ares.documents.markdown import document

PATH = "docs/performance.md"
RECORDS = "docs/performance.json"
SPEED = "docs/speed.json"
_INTRODUCTION = (
    "What the generated C costs, as `ares bench` measured it. Times are those of one machine and not of yours:",
    "compare in one run (`ares bench NETWORK --against onnxruntime`). Instructions of boards are exact, the same in",
    "every run on every machine.",
    "",
    "- **time**: one inference on one thread, in time of the processor, which other programs do not lengthen: the",
    "  median of many, the best, and half of what lies between the quartiles.",
    "- **instructions** on a board: what its processor retires in QEMU (`-icount`), which knows no cycles, caches",
    "  or wait states. On a host: what valgrind counts, whose processor has fewer vector instructions than the real",
    "  one. What observing a layer costs is taken off; the executor's own work, some tens of instructions a layer,",
    "  is not.",
    "- **code**: machine code of the network's file, of the kernels that the linker kept and of what the compiler's",
    "  library adds. **constants**: weights and tables. Neither holds a C library, start-up code or the program",
    "  around it.",
    "- **arena**: working memory of an inference; behind it the least that any plan could do with. **stack**: the",
    "  most that was in use, from reset on, measured on boards.",
    "- **against** another runtime: the same layers, sizes and weights as a quantised model of that runtime, one",
    "  thread, in turns with ours in one run; the ratio is our time by theirs, turn by turn (median, and between",
    "  the quartiles: below 1 we are faster). Its integers need not agree with ours; the largest difference of an",
    "  output shows that it computes the same network. Theirs is called from Python; **of that call**: its time over a",
    "  model of one number, called in the same way, which is a part of theirs.",
    "",
    "To measure again: the command of a record with `--record docs/performance.json`, then `python",
    "tools/generate_docs.py`. That file also holds each layer's time.",
)
_HOST = (
    "| network | target | time | best | +- | instructions | MACs | a MAC | code | constants | arena |",
    "|---|---|---|---|---|---|---|---|---|---|---|",
)
_BOARD = (
    "| network | target | instructions | MACs | a MAC | code | constants | arena | stack |",
    "|---|---|---|---|---|---|---|---|---|",
)
_AGAINST = (
    "| network | target | runtime | ours | theirs | of that call | ratio | outputs differ by (codes) |",
    "|---|---|---|---|---|---|---|---|",
)
_LAYERS = (
    "| layer | operation | instructions | MACs | a MAC |",
    "|---|---|---|---|---|",
)
_SPEED = (
    "## No slower than before",
    "",
    "Instructions of one inference by those of an older checkout's C, the same networks built by the same compilers",
    "with the same flags, as QEMU counts them: below 1 is faster. Hosts are QEMU's largest x86-64, whose vectors end",
    "with AVX2. To measure again: `git worktree add ../old COMMIT`, then `python tools/compare_speed.py ../old",
    "--target T --record docs/speed.json` and `python tools/generate_docs.py`. That file holds every count.",
)
_SPEED_TABLE = (
    "| target | processor | networks | worst | median | best | slower than before |",
    "|---|---|---|---|---|---|---|",
)
_ABSENT = "not known"


def content(root: Path, _current: str) -> str:
    """The page."""
    records = json.loads((root / RECORDS).read_text(encoding="utf-8"))
    return performance_page(
        records["entries"], read_speed((root / SPEED).read_text(encoding="utf-8"))
    )


def performance_page(
    entries: Sequence[Mapping[str, Any]], compared: Sequence[Compared] = ()
) -> str:
    """The page: what was compared with an older checkout, then the records in their order."""
    lines = [*_INTRODUCTION, *(("", *speed_section(compared)) if compared else ())]
    for number, entry in enumerate(entries, start=1):
        costs = [Cost.from_json(cost) for cost in entry["costs"]]
        lines += ["", f"## Record {number}: {entry['date']}", "", *_circumstances(entry, costs)]
        lines += _tables(costs)
    return document("Performance", lines)


def speed_section(compared: Sequence[Compared]) -> Iterator[str]:
    """One table for each pair of checkouts, a row a target."""
    yield from _SPEED
    for pair in dict.fromkeys((found.before, found.after) for found in compared):
        yield from ("", f"Commit `{pair[0][:12]}` and runtime `{pair[1]}`:", "", *_SPEED_TABLE)
        yield from (_speed_row(found) for found in compared if (found.before, found.after) == pair)


def _speed_row(found: Compared) -> str:
    ratios = list(found.ratios.items())
    (worst, most), (best, least) = ratios[0], ratios[-1]
    slower = ", ".join(f"`{name}` {ratio:.3f}" for name, ratio in found.slower.items()) or "none"
    return (
        f"| `{found.target}` | {found.processor} | {len(ratios)} | {most:.3f} `{worst}` "
        f"| {found.median:.3f} | {least:.3f} `{best}` | {slower} |"
    )


def _circumstances(entry: Mapping[str, Any], costs: Sequence[Cost]) -> Iterator[str]:
    machine = entry["machine"]
    features = ", ".join(machine["features"]) or "none that kernels ask for"
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['system']} ({features});"
    yield f"ares {entry['ares']}, runtime `{entry['runtime']}`: `{entry['command']}`."
    yield ""
    for target in dict.fromkeys(cost.target for cost in costs):
        cost = next(cost for cost in costs if cost.target == target)
        # Of the host the machine is said above, with a digest here that says nothing to a reader.
        ran = "" if cost.time is not None else f", {cost.machine}"
        yield f"- `{target}`: {cost.processor}, {cost.compiler}{ran}"


def _tables(costs: Sequence[Cost]) -> Iterator[str]:
    hosts = [cost for cost in costs if cost.time is not None]
    boards = [cost for cost in costs if cost.time is None]
    if hosts:
        yield from ("", *_HOST, *map(_host_row, hosts))
    if boards:
        yield from ("", *_BOARD, *map(_board_row, boards))
    compared = [(cost, found) for cost in costs for found in cost.against]
    if compared:
        yield from ("", *_AGAINST, *(_against_row(cost, found) for cost, found in compared))
    for cost in boards:
        yield from _layers(cost)


def _host_row(cost: Cost) -> str:
    assert cost.time is not None
    times = f"{time(cost.time.median)} | {time(cost.time.best)} | {_half(cost.time)}"
    return f"| `{cost.network}` | `{cost.target}` | {times} | {_counts(cost)} |"


def _board_row(cost: Cost) -> str:
    return f"| `{cost.network}` | `{cost.target}` | {_counts(cost)} | {_number(cost.stack)} |"


def _counts(cost: Cost) -> str:
    arena = f"{cost.arena:,} ({cost.arena_bound:,})"
    sizes = f"{_number(cost.code)} | {_number(cost.constants)} | {arena}"
    own = per_mac(cost.macs, cost.time, cost.instructions)
    return f"{_number(cost.instructions)} | {cost.macs:,} | {own} | {sizes}"


def _against_row(cost: Cost, found: Comparison) -> str:
    ratio = found.ratio
    between = f"{three(ratio.median)} ({three(ratio.low)} to {three(ratio.high)})"
    return (
        f"| `{cost.network}` | `{cost.target}` | {found.runtime} {found.version} | {time(found.ours.median)} "
        f"| {time(found.theirs.median)} | {time(found.call)} | {between} | {found.largest_difference:.1f} |"
    )


def _layers(cost: Cost) -> Iterator[str]:
    """What folds away where the page is read."""
    if cost.instructions is None:
        return
    yield from ("", f"<details><summary>{cost.network} on {cost.target}, by layer</summary>", "")
    yield from _LAYERS
    for row in cost.layers:
        own = per_mac(row.macs, None, row.instructions)
        yield f"| `{row.layer}` | {row.op_type} | {_number(row.instructions)} | {row.macs:,} | {own} |"
    yield from ("", "</details>")


def _half(spread: Spread) -> str:
    return f"{(spread.high - spread.low) / 2 / spread.median:.1%}"


def _number(value: int | None) -> str:
    return _ABSENT if value is None else f"{value:,}"
