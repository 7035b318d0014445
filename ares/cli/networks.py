"""`ares networks`: the zoo through every stage on every target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ares.cli.output import fail_usage, write_text
from ares.pipeline.matrix import Matrix, run_matrix
from ares.pipeline.zoo import UnknownNetwork, network_names, zoo_paths
from ares.resources import ResourceError
from ares.toolchain import Target, ToolchainError, default_targets, select
from ares.verify import Outcome, Verdict

_FILE_WIDTH = 400
_MARKS = {
    Outcome.PASS: "[green]ok[/]",
    Outcome.FAIL: "[red]FAIL[/]",
    Outcome.NOT_RUN: "[yellow]-[/]",
}


def networks(
    names: Annotated[
        list[str] | None, typer.Argument(help="Networks, e.g. test_4_resnet_basic; default: all.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="Target name or glob; repeatable. Default: the default targets."),
    ] = None,
    json_out: Annotated[Path | None, typer.Option(help="Write all verdicts as JSON.")] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per core.")
    ] = None,
    require_all_targets: Annotated[
        bool, typer.Option(help="A target that cannot run here is a failure.")
    ] = False,
    list_networks: Annotated[
        bool, typer.Option("--list", help="List the networks and stop.")
    ] = False,
) -> None:
    """Extract, generate, compile, run and compare networks of the zoo, layer by layer.

    Exit code 0: every layer of every network is exact on every target that is installed; 1: something differs or
    could not be built; 2: usage.
    """
    console = _console()
    try:
        known = network_names()
        if list_networks:
            for name in known:
                console.print(name, highlight=False)
            return
        chosen = [zoo_paths(name).name for name in names] if names else list(known)
        targets = select(target) if target else default_targets()
    except (UnknownNetwork, ToolchainError, ResourceError) as error:
        fail_usage(str(error))
    matrix = _run(console, chosen, targets, jobs)
    _show(console, matrix)
    if json_out is not None:
        write_text(json_out, json.dumps(_as_json(matrix), indent=1) + "\n")
    if matrix.failures or (require_all_targets and matrix.not_run):
        raise typer.Exit(1)


def _console() -> Console:
    """A file or a pipe has no width: lines are cut nowhere."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def _run(
    console: Console, names: Sequence[str], targets: Sequence[Target], jobs: int | None
) -> Matrix:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("networks", total=len(names))
        running: list[str] = []

        def progress(name: str, verdicts: Sequence[Verdict]) -> None:
            if not verdicts:
                running.append(name)
            else:
                running.remove(name)
                bar.advance(task)
                if not console.is_terminal:
                    console.print(_line(name, verdicts), highlight=False, soft_wrap=True)
            bar.update(task, description=", ".join(running) or "networks")

        return run_matrix(names, targets, progress, jobs)


def _line(name: str, verdicts: Sequence[Verdict]) -> str:
    failed = [verdict.stage for verdict in verdicts if verdict.outcome is Outcome.FAIL]
    seconds = sum(verdict.seconds for verdict in verdicts)
    return f"{name}: {'FAIL in ' + ', '.join(failed) if failed else 'ok'} ({seconds:.1f} s)"


def _show(console: Console, matrix: Matrix) -> None:
    cells = {(verdict.network, verdict.stage): verdict for verdict in matrix.verdicts}
    headers = (escape(stage) for stage in matrix.stages)
    table = Table("network", *headers, "s", box=None, pad_edge=False)
    for name in matrix.networks:
        row = [cells.get((name, stage)) for stage in matrix.stages]
        seconds = sum(verdict.seconds for verdict in row if verdict)
        table.add_row(
            name, *(_MARKS[verdict.outcome] if verdict else "" for verdict in row), f"{seconds:.1f}"
        )
    console.print(table)
    for verdict in matrix.failures:
        console.rule(f"[red]{verdict.network} {verdict.stage}[/]: {verdict.fault}", align="left")
        console.print(verdict.message, markup=False, highlight=False, soft_wrap=True)
    for reason in dict.fromkeys(
        f"{escape(verdict.stage)} was not run: {escape(verdict.message)}"
        for verdict in matrix.not_run
    ):
        console.print(f"[yellow]{reason}[/]", soft_wrap=True, highlight=False)
    console.print(_summary(matrix), highlight=False, soft_wrap=True)


def _summary(matrix: Matrix) -> str:
    passed = sum(verdict.outcome is Outcome.PASS for verdict in matrix.verdicts)
    bad = {verdict.network for verdict in matrix.failures}
    text = (
        f"{len(matrix.networks)} networks, {len(matrix.verdicts)} cells: {passed} exact, "
        f"{len(matrix.failures)} failed, {len(matrix.not_run)} not run; {matrix.seconds:.0f} s"
    )
    colour = "red" if bad else "green"
    tail = f" Failed: {', '.join(sorted(bad))}." if bad else ""
    return f"[bold {colour}]{text}.{tail}[/]"


def _as_json(matrix: Matrix) -> dict[str, object]:
    return {
        "seconds": round(matrix.seconds, 3),
        "passed": not matrix.failures,
        "verdicts": [verdict.as_json() for verdict in matrix.verdicts],
    }
