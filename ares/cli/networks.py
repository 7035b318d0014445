"""`ares networks`: the zoo, and the operations' own cases, through every stage on every target."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ares.cli.output import DASH, fail_usage, require_writable, show, wide_console, write_text
from ares.cli.targets import RequireAllTargets, Scheduler, show_targets
from ares.pipeline.catalogue import UnknownNetwork, Zoo
from ares.pipeline.cluster import Cluster, connected
from ares.pipeline.matrix import Event, Matrix
from ares.pipeline.result_files import as_json, as_junit
from ares.pipeline.sampling import Sample
from ares.pipeline.schedule import run_matrix
from ares.resources import ResourceError, checkout_dir
from ares.tables import Column, fits, fitting_table
from ares.toolchain import (
    TARGETS,
    Target,
    ToolchainError,
    default_targets,
    missing_tools,
    select,
)
from ares.verdict import STAGES, Outcome, Verdict, proof_stage

# As many targets as a table of subjects x targets can show side by side.
_WIDEST = 8


Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Networks, by name or its beginning (test_4), or suites of operations' cases; default: all.",
    ),
]
TargetNames = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="T",
        help="Target name or glob ('*', 's390x-*'); repeatable. Default: the default targets.",
    ),
]
JsonOut = Annotated[
    Path | None,
    typer.Option("--json-out", metavar="P", help=f"Write all verdicts as JSON; {DASH}."),
]
JunitOut = Annotated[
    Path | None,
    typer.Option("--junit-out", metavar="P", help="Write all verdicts as JUnit's XML; - as well."),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="Processes; default: one per core."),
]
AllCells = Annotated[
    bool,
    typer.Option(
        "--all-cells", help="Run large networks on every target, not on the day's sample."
    ),
]
Fresh = Annotated[
    bool,
    typer.Option("--fresh", help="Compute everything anew, also what passed on the same content."),
]
Prove = Annotated[
    bool,
    typer.Option(
        "--prove",
        help="Also show of each layer for which inputs its compiled code is right, as `ares prove`; a column a target.",
    ),
]
ListNetworks = Annotated[
    bool, typer.Option("--list", help="List the networks and suites and stop.")
]
ListTargets = Annotated[
    bool,
    typer.Option(
        "--list-targets",
        help="List the targets, as `ares targets`: what is missing here and what brings it.",
    ),
]


def networks(
    names: Names = None,
    target: TargetNames = None,
    json_out: JsonOut = None,
    junit_out: JunitOut = None,
    jobs: Jobs = None,
    scheduler: Scheduler = None,
    require_all_targets: RequireAllTargets = False,
    all_cells: AllCells = False,
    fresh: Fresh = False,
    prove: Prove = False,
    list_networks: ListNetworks = False,
    list_targets: ListTargets = False,
) -> None:
    """Extract, generate, compile, run and compare networks of the zoo, layer by layer.

    Exit code 0: every layer of every network is exact on every target that is installed; 1: something differs or
    could not be built; 2: usage.
    """
    require_writable(json_out, junit_out)
    console = wide_console(json_out, junit_out)
    try:
        if list_targets:
            listed = select(target) if target else TARGETS
            show_targets(console, listed, missing_tools(listed))
            return
        zoo = Zoo(checkout_dir())
        if list_networks:
            for name in zoo.subjects:
                console.print(name, highlight=False)
            return
        chosen = list(dict.fromkeys(map(zoo.subject, names))) if names else list(zoo.subjects)
        targets = select(target) if target else default_targets()
        sample = Sample(None if all_cells else date.today().toordinal(), zoo.subjects)
        with connected(scheduler) as cluster:
            matrix = _run(console, zoo, chosen, targets, jobs, sample, fresh, cluster)
    except (UnknownNetwork, ToolchainError, ResourceError) as error:
        fail_usage(str(error))
    if prove:
        matrix = _proven(console, zoo, matrix, jobs)
    _show(console, matrix, zoo)
    if json_out is not None:
        write_text(json_out, as_json(matrix))
    if junit_out is not None:
        write_text(junit_out, as_junit(matrix))
    if matrix.failures or (require_all_targets and matrix.not_run):
        raise typer.Exit(1)


def _run(
    console: Console,
    zoo: Zoo,
    names: Sequence[str],
    targets: Sequence[Target],
    jobs: int | None,
    sample: Sample,
    fresh: bool,
    cluster: Cluster | None,
) -> Matrix:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("networks", total=None)
        lines = _Lines(names)

        def progress(event: Event) -> None:
            what = ", ".join(event.running) or "networks"
            bar.update(task, description=what, completed=event.done, total=event.planned)
            for verdict in event.verdicts:
                if verdict.outcome is Outcome.FAIL:
                    console.print(f"[red]{escape(f'{verdict.network} {verdict.stage}')}[/]: failed")
            if not console.is_terminal:
                for line in lines.of(event):
                    console.print(line, highlight=False, markup=False, soft_wrap=True)

        return run_matrix(
            zoo, names, targets, progress, jobs, sample=sample, fresh=fresh, cluster=cluster
        )


def _proven(console: Console, zoo: Zoo, matrix: Matrix, jobs: int | None) -> Matrix:
    """The matrix, and how each layer was shown to be right, of all subjects whose stages before the C passed."""
    from ares.prover.verdicts import Judged, prove_networks, with_proofs

    before = {stage.name for stage in STAGES}
    bad = {verdict.network for verdict in matrix.failures if verdict.stage in before}
    names = [name for name in matrix.subjects if name not in bad]
    start = time.monotonic()
    with console.status("proofs") as status:

        def tell(judged: Judged) -> None:
            status.update(f"proofs: {judged.verdicts[0].network} is done")

        count = max(1, jobs or os.cpu_count() or 1)
        found = prove_networks(zoo, names, matrix.targets, count, tell) if matrix.targets else []
    return with_proofs(matrix, found, time.monotonic() - start)


class _Lines:
    """Progress for a log: a line whenever the first running job is about another subject."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._last = ""

    def of(self, event: Event) -> list[str]:
        if not event.running:
            return []
        job = event.running[0]
        subject = job.split()[0] if job.split()[0] in self._names else job
        if subject == self._last:
            return []
        self._last = subject
        return [f"{event.done} of {event.planned}: {subject}"]


def _show(console: Console, matrix: Matrix, zoo: Zoo) -> None:
    table = _by_subject(matrix, console.width) if len(matrix.targets) <= _WIDEST else None
    show(console, table or _by_target(matrix, console.width))
    for verdict in matrix.failures:
        console.rule(
            f"[red]{escape(f'{verdict.network} {verdict.stage}')}[/]: {verdict.fault}", align="left"
        )
        show(console, Text(verdict.message, no_wrap=True))
    for name, facts in matrix.patterns.items():
        show(console, Text(f"{name}: only targets that are {', '.join(facts)} fail", "red"))
    for reason in dict.fromkeys(
        f"{verdict.stage} was not run: {verdict.message}" for verdict in matrix.not_run
    ):
        show(console, Text(reason, "yellow", no_wrap=True))
    show(console, _summary(matrix, zoo))


def _by_subject(matrix: Matrix, width: int) -> Table | None:
    """A row a network, a column a stage; None where the terminal is too narrow for it."""
    cells = {(verdict.network, verdict.stage): verdict for verdict in matrix.verdicts}
    rows = []
    for name in matrix.subjects:
        row = [cells.get((name, stage)) for stage in matrix.stages]
        seconds = sum(verdict.seconds for verdict in row if verdict)
        marks = [_mark(verdict) if verdict else Text("") for verdict in row]
        rows.append([Text(name), *marks, Text(f"{seconds:.1f}")])
    columns = [Column(heading) for heading in ("network", *matrix.stages, "s")]
    return fitting_table(columns, rows, width) if fits(columns, rows, width) else None


def _by_target(matrix: Matrix, width: int) -> Table:
    """A row a stage. What occurs nowhere has no column."""
    counted = [
        outcome
        for outcome in Outcome
        if outcome in (Outcome.PASS, Outcome.FAIL) or matrix.having(outcome)
    ]
    columns = [
        Column("stage"),
        Column("processor", spare=2),
        *(Column(outcome.facts.heading, right=True) for outcome in counted),
        Column("s", right=True, spare=1),
    ]
    processors = {target.stage: target.machine.isa for target in matrix.targets}
    rows = []
    for stage in matrix.stages:
        own = [verdict for verdict in matrix.verdicts if verdict.stage == stage]
        seconds = sum(verdict.seconds for verdict in own)
        counts = [_count(own, outcome) for outcome in counted]
        processor = Text(processors.get(stage, ""))
        rows.append([Text(stage), processor, *counts, Text(f"{seconds:.1f}")])
    return fitting_table(columns, rows, width)


def _mark(verdict: Verdict) -> Text:
    """Of a proof how many of the layers are shown for every input."""
    facts = verdict.outcome.facts
    shown = re.match(r"(\d+) of (\d+) layers", verdict.message)
    proof = verdict.stage == proof_stage(verdict.target) and shown is not None
    return Text(f"{shown[1]}/{shown[2]}" if proof and shown else facts.mark, facts.style)


def _count(verdicts: Sequence[Verdict], outcome: Outcome) -> Text:
    count = sum(verdict.outcome is outcome for verdict in verdicts)
    return Text(str(count) if count else "", outcome.facts.style)


def _summary(matrix: Matrix, zoo: Zoo) -> Text:
    """The verdict, then the numbers; the names of what failed last."""
    counts = {outcome: len(matrix.having(outcome)) for outcome in Outcome}
    kept = sum(verdict.kept for verdict in matrix.having(Outcome.PASS))
    parts = [
        f"{counts[Outcome.PASS]} exact" + (f" ({kept} known from the same content)" if kept else "")
    ]
    parts += [
        f"{counts[outcome]} {outcome.facts.counted}"
        for outcome in Outcome
        if outcome is not Outcome.PASS and (counts[outcome] or outcome is Outcome.FAIL)
    ]
    bad = sorted({verdict.network for verdict in matrix.failures})
    seen = any(verdict.target for verdict in matrix.having(Outcome.PASS))
    word, style = _VERDICTS[(bool(bad), seen)]
    suites = any(map(zoo.is_suite, matrix.subjects))
    what = "network or suite" if suites else "network"
    tail = f" Failed: {', '.join(bad)}." if bad else ""
    return Text(
        f"{word}: {_plural(len(matrix.subjects), what)}, {_plural(len(matrix.targets), 'target')}, "
        f"{_plural(len(matrix.verdicts), 'cell')}: {', '.join(parts)}; {matrix.seconds:.0f} s.{tail}",
        f"bold {style}",
    )


# Something failed, some C was seen to be exact -> word and colour.
_VERDICTS = {
    (True, True): ("FAILED", "red"),
    (True, False): ("FAILED", "red"),
    (False, True): ("EXACT", "green"),
    (False, False): ("NO TARGET WAS RUN", "yellow"),
}


def _plural(count: int, noun: str) -> str:
    if count == 1:
        return f"1 {noun}"
    return f"{count} {' and '.join(f'{word}s' for word in noun.split(' or '))}"
