"""`ares networks`: the zoo, and the operations' own cases, through every stage on every target."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ares.cli.output import fail_usage, require_writable, wide_console, write_text
from ares.pipeline.matrix import Event, Matrix, run_matrix, stage_of
from ares.pipeline.report import as_json, as_junit
from ares.pipeline.sampling import Sample
from ares.pipeline.zoo import UnknownNetwork, network_names, subject_name, suite_names
from ares.resources import ResourceError
from ares.toolchain import TARGETS, Target, ToolchainError, default_targets, select
from ares.verdict import Outcome, Verdict

# As many targets as a table of subjects x targets can show side by side.
_WIDEST = 8
_MARKS = {
    Outcome.PASS: "[green]ok[/]",
    Outcome.FAIL: "[red]FAIL[/]",
    Outcome.NOT_RUN: "[yellow]-[/]",
    Outcome.LEFT_OUT: "[dim]out[/]",
    Outcome.EXPECTED: "[cyan]exp[/]",
}


def networks(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Networks, e.g. test_4_resnet_basic, or suites of operations' cases; default: all."
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Target name or glob ('*', 's390x-*'); repeatable. Default: the default targets."
        ),
    ] = None,
    json_out: Annotated[Path | None, typer.Option(help="Write all verdicts as JSON.")] = None,
    junit_out: Annotated[
        Path | None, typer.Option(help="Write all verdicts as JUnit's XML.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per core.")
    ] = None,
    require_all_targets: Annotated[
        bool, typer.Option(help="A target that cannot run here is a failure.")
    ] = False,
    all_cells: Annotated[
        bool, typer.Option(help="Run large networks on every target, not on the day's sample.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option(help="Compute everything anew, also what passed on the same content.")
    ] = False,
    list_networks: Annotated[
        bool, typer.Option("--list", help="List the networks and suites and stop.")
    ] = False,
    list_targets: Annotated[
        bool, typer.Option(help="List the targets, what is missing here and what brings it.")
    ] = False,
) -> None:
    """Extract, generate, compile, run and compare networks of the zoo, layer by layer.

    Exit code 0: every layer of every network is exact on every target that is installed; 1: something differs or
    could not be built; 2: usage.
    """
    console = wide_console()
    try:
        known = (*network_names(), *suite_names())
        if list_networks:
            for name in known:
                console.print(name, highlight=False)
            return
        if list_targets:
            _show_targets(console, select(target) if target else TARGETS)
            return
        chosen = list(dict.fromkeys(map(subject_name, names))) if names else list(known)
        targets = select(target) if target else default_targets()
        sample = Sample(None if all_cells else date.today().toordinal(), known)
        for path in (json_out, junit_out):
            require_writable(path)
        matrix = _run(console, chosen, targets, jobs, sample, fresh)
    except (UnknownNetwork, ToolchainError, ResourceError) as error:
        fail_usage(str(error))
    _show(console, matrix)
    if json_out is not None:
        write_text(json_out, as_json(matrix))
    if junit_out is not None:
        write_text(junit_out, as_junit(matrix))
    if matrix.failures or (require_all_targets and matrix.not_run):
        raise typer.Exit(1)


def _run(
    console: Console,
    names: Sequence[str],
    targets: Sequence[Target],
    jobs: int | None,
    sample: Sample,
    fresh: bool,
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

        return run_matrix(names, targets, progress, jobs, sample=sample, fresh=fresh)


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


def _show_targets(console: Console, targets: Sequence[Target]) -> None:
    table = Table("target", "processor", "order", "bits", "what", "here", box=None, pad_edge=False)
    absent: dict[str, str] = {}
    for target in targets:
        reason = target.missing()
        if reason is not None:
            absent[target.name] = reason
        machine = target.machine
        table.add_row(
            f"{target.name}{' *' if target.default else ''}",
            machine.isa,
            machine.byte_order,
            str(machine.pointer_bits),
            target.description,
            "[green]yes[/]" if reason is None else "[yellow]no[/]",
        )
    console.print(table)
    for name, reason in absent.items():
        console.print(f"[yellow]{name}: {escape(reason)}[/]", soft_wrap=True, highlight=False)
    console.print(
        f"{len(targets)} targets, {len(targets) - len(absent)} can be used here; "
        "* default. What was found out on each: docs/targets.md",
        highlight=False,
    )


def _show(console: Console, matrix: Matrix) -> None:
    if len(matrix.targets) <= _WIDEST:
        console.print(_by_subject(matrix))
    else:
        console.print(_by_target(matrix))
    for verdict in matrix.failures:
        console.rule(
            f"[red]{verdict.network} {escape(verdict.stage)}[/]: {verdict.fault}", align="left"
        )
        console.print(verdict.message, markup=False, highlight=False, soft_wrap=True)
    for name, facts in matrix.patterns.items():
        console.print(
            f"[red]{name}[/]: only targets that are [bold]{escape(', '.join(facts))}[/] fail",
            soft_wrap=True,
            highlight=False,
        )
    for reason in dict.fromkeys(
        f"{escape(verdict.stage)} was not run: {escape(verdict.message)}"
        for verdict in matrix.not_run
    ):
        console.print(f"[yellow]{reason}[/]", soft_wrap=True, highlight=False)
    console.print(_summary(matrix), highlight=False, soft_wrap=True)


def _by_subject(matrix: Matrix) -> Table:
    cells = {(verdict.network, verdict.stage): verdict for verdict in matrix.verdicts}
    headers = (escape(stage) for stage in matrix.stages)
    table = Table("network", *headers, "s", box=None, pad_edge=False)
    for name in matrix.subjects:
        row = [cells.get((name, stage)) for stage in matrix.stages]
        seconds = sum(verdict.seconds for verdict in row if verdict)
        table.add_row(
            name, *(_MARKS[verdict.outcome] if verdict else "" for verdict in row), f"{seconds:.1f}"
        )
    return table


def _by_target(matrix: Matrix) -> Table:
    table = Table("stage", "processor", box=None, pad_edge=False)
    for heading in ("exact", "failed", "expected", "not run", "left out", "s"):
        table.add_column(heading, justify="right")
    processors = {stage_of(target): target.machine.isa for target in matrix.targets}
    for stage in matrix.stages:
        own = [verdict for verdict in matrix.verdicts if verdict.stage == stage]
        counts = [_count(own, outcome) for outcome in _COLUMNS]
        seconds = sum(verdict.seconds for verdict in own)
        table.add_row(escape(stage), processors.get(stage, ""), *counts, f"{seconds:.1f}")
    return table


_COLUMNS = {
    Outcome.PASS: "green",
    Outcome.FAIL: "red",
    Outcome.EXPECTED: "cyan",
    Outcome.NOT_RUN: "yellow",
    Outcome.LEFT_OUT: "dim",
}


def _count(verdicts: Sequence[Verdict], outcome: Outcome) -> str:
    count = sum(verdict.outcome is outcome for verdict in verdicts)
    return f"[{_COLUMNS[outcome]}]{count}[/]" if count else ""


def _summary(matrix: Matrix) -> str:
    counts = {outcome: len(matrix.having(outcome)) for outcome in Outcome}
    kept = sum(verdict.kept for verdict in matrix.having(Outcome.PASS))
    parts = [
        f"{counts[Outcome.PASS]} exact" + (f" ({kept} known from the same content)" if kept else "")
    ]
    parts += [
        f"{counts[outcome]} {word}"
        for outcome, word in (
            (Outcome.FAIL, "failed"),
            (Outcome.EXPECTED, "failed as expected"),
            (Outcome.NOT_RUN, "not run"),
            (Outcome.LEFT_OUT, "left out"),
        )
        if counts[outcome] or outcome is Outcome.FAIL
    ]
    text = (
        f"{len(matrix.subjects)} networks and suites, {len(matrix.targets)} targets, "
        f"{len(matrix.verdicts)} cells: {', '.join(parts)}; {matrix.seconds:.0f} s"
    )
    bad = {verdict.network for verdict in matrix.failures}
    tail = f" Failed: {', '.join(sorted(bad))}." if bad else ""
    return f"[bold {'red' if bad else 'green'}]{text}.{tail}[/]"
