"""`ares fuzz`: random Brevitas models, each from its seed alone, by all witnesses."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ares.cli.model_options import import_torch
from ares.cli.output import (
    DASH,
    USAGE,
    complain,
    fail_usage,
    require_writable,
    show,
    wide_console,
    write_text,
)
from ares.cli.targets import Scheduler
from ares.files import is_taken
from ares.toolchain import Target, ToolchainError, missing_tools, select

if TYPE_CHECKING:
    from ares.fuzzer.campaign import Tally

# The first that can be used here; measured: what a graph costs beside it is the models'.
_QUICKEST = ("tcc", "gcc-O0", "zig-O2")
_LARGEST_SEED = 2**53
_LOGGED = 60.0
"""Seconds between lines where there is no terminal."""

Graphs = Annotated[int, typer.Option("--graphs", metavar="N", min=1, help="How many models.")]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="S",
        min=0,
        max=_LARGEST_SEED,
        help="The first seed; a model follows from its seed alone.",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        "--time-limit", metavar="SEC", min=1.0, help="Stop after so long, with what is known then."
    ),
]
TargetNames = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="T",
        help="Target name or glob; repeatable. Default: the quickest that is here.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="A folder for each symptom, that repeats it without ARES."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="Models side by side; default: one per core."),
]
Coverage = Annotated[
    Path | None,
    typer.Option(
        "--coverage",
        metavar="FILE",
        help=f"Write every cell of the coverage table with its count, and all holes, as JSON; {DASH}.",
    ),
]
Record = Annotated[
    bool,
    typer.Option(
        "--record",
        help="Write docs/evidence/fuzz.json of this checkout; needs all graphs, none wrong.",
    ),
]


def fuzz_command(
    graphs: Graphs = 300,
    seed: Seed = 1,
    time_limit: TimeLimit = None,
    target: TargetNames = None,
    out: Out = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    coverage: Coverage = None,
    record: Record = False,
) -> None:
    """Draw random Brevitas models and judge each by all witnesses, in every layer, on every chosen target.

    Each model follows from its seed alone. Inputs are aimed at edges: ties and one beside, saturation, accumulators at
    their bounds. Exit code 0: nothing was found; 1: something was; 2: usage, or nothing could be compared; 130:
    interrupted. A model that `ares check` refuses is counted, with the reason.
    """
    if out is not None and is_taken(out):
        fail_usage(f"{out} is there already and not empty; name a new folder or remove it first")
    require_writable(coverage)
    targets = _targets(target)
    from ares.fuzzer.campaign import Campaign
    from ares.fuzzer.summary import lines_of
    from ares.pipeline.cluster import connected

    console = wide_console(coverage)
    workers = min(jobs or os.cpu_count() or 1, graphs)
    names = tuple(each.name for each in targets)
    try:
        with connected(scheduler) as cluster:
            workers = workers if cluster is None else min(cluster.capacity, graphs)
            campaign = Campaign(seed, graphs, names, workers, time_limit, cluster)
            tally = _run(console, campaign)
    except ToolchainError as error:
        fail_usage(str(error))
    for line in lines_of(tally):
        show(console, line)
    if coverage is not None:
        from ares.fuzzer.coverage import as_json

        # Also of one that was stopped.
        write_text(coverage, json.dumps(as_json(tally.cells), indent=1) + "\n")
    if tally.interrupted:
        raise KeyboardInterrupt
    if out is not None:
        _keep(console, tally, out)
    if tally.findings:
        raise typer.Exit(1)
    if record:
        _record(console, tally)
    if not tally.layers:
        raise typer.Exit(USAGE)


def _record(console: Console, tally: Tally) -> None:
    """Write the record of a campaign that came to its end."""
    from ares.fuzzer.record import NotWhole, write
    from ares.resources import ResourceError, checkout_dir

    words = "".join(f" --target {name}" for name in tally.targets)
    again = f"ares fuzz --graphs {tally.planned} --seed {tally.first}{words} --record"
    try:
        path = write(tally, checkout_dir(), again)
    except (NotWhole, ResourceError, OSError) as error:
        fail_usage(f"nothing was recorded: {error}")
    show(console, Text(f"recorded: {path}", no_wrap=True))


def _targets(names: list[str] | None) -> tuple[Target, ...]:
    """Those that are named and here; one that is not here is refused by name."""
    try:
        chosen = tuple(select(names or _QUICKEST))
    except ToolchainError as error:
        fail_usage(str(error))
    absent = missing_tools(chosen)
    usable = tuple(each for each in chosen if absent[each.name] is None and not each.lacking())
    if names is None:
        order = sorted(usable, key=lambda each: _QUICKEST.index(each.name))
        usable = tuple(order[:1])
    elif len(usable) < len(chosen) and usable:
        left_out = [each.name for each in chosen if each not in usable]
        complain(f"not run, for they cannot be used here: {', '.join(left_out)}")
    if not usable:
        why = "; ".join(f"{name}: {reason}" for name, reason in absent.items() if reason)
        fail_usage(f"no target can be used here: {why}")
    return usable


def _run(console: Console, campaign: object) -> Tally:
    from ares.fuzzer.campaign import Campaign

    assert isinstance(campaign, Campaign)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("graphs", total=campaign.graphs)
        said = time.monotonic()

        def progress(tally: Tally) -> None:
            nonlocal said
            found = f", {len(tally.findings)} symptoms" if tally.findings else ""
            words = f"{tally.rate:.1f} graphs a second{found}"
            bar.update(task, completed=tally.done, description=words)
            if not console.is_terminal and time.monotonic() - said > _LOGGED:
                said = time.monotonic()
                show(console, Text(f"{tally.done} of {campaign.graphs}: {words}", no_wrap=True))

        return campaign.run(progress)


def _keep(console: Console, tally: Tally, out: Path) -> None:
    import_torch()
    from ares.fuzzer.drawing import draw
    from ares.fuzzer.keeping import keep

    for finding in tally.firsts:
        try:
            place = keep(finding, tally.targets, out, draw(finding.seed))
        except OSError as error:
            complain(f"cannot write into {out}: {error.strerror or error}")
            return
        show(console, Text(f"kept: {place}", no_wrap=True))
