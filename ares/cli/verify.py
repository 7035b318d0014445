"""`ares verify`: a user's model by three witnesses, on chosen targets, layer by layer."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ares.cli.model_options import (
    InitKwarg,
    InputData,
    InputShape,
    ModelClass,
    ModelFile,
    StateDict,
    TestNetwork,
    choose,
    code_of_the_user,
    import_torch,
    user_model,
)
from ares.cli.output import fail_usage, require_writable, wide_console, write_text
from ares.pipeline.report import as_junit
from ares.toolchain import Target, ToolchainError, default_targets, select
from ares.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from ares.pipeline.user_model import UserModel
    from ares.pipeline.verification import LayerLine, Verification

_MOST_CASES = 10_000
_WORDS = {
    Outcome.PASS: "[green]ok[/]",
    Outcome.FAIL: "[bold red]FAILED[/]",
    Outcome.NOT_RUN: "[yellow]not run[/]",
    Outcome.LEFT_OUT: "[yellow]left out[/]",
    Outcome.EXPECTED: "[cyan]fails as expected[/]",
}


def verify_command(
    model_file: ModelFile = None,
    test_network: TestNetwork = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Target name or glob ('*', 's390x-*'); repeatable. Default: the default targets."
        ),
    ] = None,
    cases: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=_MOST_CASES,
            help="Number of cases: the given inputs, then random and edge values. Default: 3, or all samples "
            "of --inputs (at most 64) and two.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Targets side by side; default: one per core.")
    ] = None,
    require_all_targets: Annotated[
        bool, typer.Option(help="A target that cannot run here is a failure.")
    ] = False,
    json_out: Annotated[
        Path | None, typer.Option("--json-out", metavar="P", help="Write the whole result as JSON.")
    ] = None,
    junit_out: Annotated[
        Path | None, typer.Option("--junit-out", metavar="P", help="Write it as JUnit's XML.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where a failure is kept, to be repeated without ARES. Default: ./ares-failure-<name>.",
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Instead: judge what an exported project's self-test printed."
        ),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The exported project, with --trace.")
    ] = None,
) -> None:
    """Show that the generated C computes the very integers of a model, in every layer, on every chosen target.

    The Brevitas model in float64, an integer reference and the compiled C are compared on each case. Exit code 0:
    all are equal; 1: something differs, does not build, or cannot be mapped; 2: usage, or a model or file that cannot
    be loaded.

    With --trace FILE --project DIR: judges the lines that a self-test printed elsewhere, on a board for example.
    """
    for path in (json_out, junit_out):
        require_writable(path)
    if trace is not None or project is not None:
        others = (model_file, test_network, inputs, target, out, state_dict, junit_out)
        if any(other is not None for other in others):
            fail_usage(
                "--trace FILE --project DIR judges a run that is over; give no other options but --json-out"
            )
        _judge_trace(trace, project, json_out)
        return
    choice = choose(
        model_file, test_network, model_class, init_kwarg, input_shape, state_dict, inputs
    )
    try:
        targets = select(target) if target else default_targets()
    except ToolchainError as error:
        fail_usage(str(error))
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        fail_usage(f"{out} is there already and not empty; name a new folder or remove it first")
    import_torch()
    console = wide_console()
    with code_of_the_user():
        subject = user_model(choice, cases, _again())
        result = _run(console, subject, targets, jobs)
    _show(console, result)
    kept = _keep(subject, result, out) if result.matrix.failures else None
    if kept is not None:
        script = shlex.quote(str(kept / "reproduce.sh"))
        _say(console, Text(f"to repeat it without ARES: sh {script}", "red"))
    _say(console, Text(result.summary, f"bold {'green' if result.passed else 'red'}"))
    if json_out is not None:
        content = {**result.as_json(), "reproduction": None if kept is None else str(kept)}
        write_text(json_out, json.dumps(content, indent=1) + "\n")
    if junit_out is not None:
        write_text(junit_out, as_junit(result.matrix))
    if not result.passed or (require_all_targets and result.matrix.not_run):
        raise typer.Exit(1)


def _again() -> str:
    """The command that was given, without its targets and results."""
    words = iter(sys.argv[1:])
    kept = ["ares"] if sys.argv[1:2] == ["verify"] else ["ares", "verify"]
    for word in words:
        name, equals, _ = word.partition("=")
        if name in ("--target", "--json-out", "--junit-out", "--out", "--jobs"):
            if not equals:
                next(words, None)
        else:
            kept.append(word)
    return shlex.join(kept)


def _run(
    console: Console, subject: UserModel, targets: Sequence[Target], jobs: int | None
) -> Verification:
    from ares.pipeline.verification import verify

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(subject.name, total=None)

        def progress(running: Sequence[str], done: int, planned: int) -> None:
            what = escape(", ".join(running)) or subject.name
            bar.update(task, description=what, completed=done, total=planned)

        return verify(subject, targets, jobs, progress)


def _keep(subject: UserModel, result: Verification, out: Path | None) -> Path | None:
    """The folder that repeats the first failure of a target, None where only Python is at fault."""
    from ares.pipeline.reproduction import free_folder, reproduction_of

    found = reproduction_of(subject, result)
    if found is None:
        return None
    folder = out if out is not None else free_folder(subject.name)
    try:
        found.write(folder)
    except OSError as error:
        # What was found counts; the exit code stays that of a failure.
        typer.echo(f"ares: cannot write {folder}: {error.strerror or 'it is there now'}", err=True)
        return None
    return folder


# What is shown.


def _show(console: Console, result: Verification) -> None:
    cases = f", cases: {_listed(result.cases)}" if result.cases else ""
    _say(console, Text(f"{result.network}: {result.model}, inputs: {result.inputs}{cases}"))
    for verdict in result.matrix.failures:
        _say(console, Text(f"--- {verdict.stage}: {verdict.fault}", "red"))
        console.print(verdict.message, markup=False, highlight=False, soft_wrap=True)
    if result.layers:
        console.print(_table(result))
    for verdict in result.matrix.verdicts:
        _say(console, Text.from_markup(_stage(verdict)))
    for name, facts in result.matrix.patterns.items():
        _say(console, Text(f"{name}: only targets that are {', '.join(facts)} fail", "red"))
    for warning in result.warnings:
        _say(
            console,
            Text(f"warning: with the given inputs {warning}: they show little of it", "yellow"),
        )
    for note in result.notes:
        _say(console, Text(note, "yellow"))


def _say(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _listed(names: Sequence[str]) -> str:
    return (
        ", ".join(names)
        if len(names) <= 6
        else f"{', '.join(names[:3])} ... {', '.join(names[-2:])}"
    )


def _stage(verdict: Verdict) -> str:
    said = verdict.message if verdict.outcome is not Outcome.FAIL else f"{verdict.fault}, see above"
    tail = f": {escape(said)}" if said else ""
    return f"{escape(verdict.stage)} {_WORDS[verdict.outcome]}{tail} ({verdict.seconds:.1f} s)"


def _table(result: Verification) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("layer", overflow="fold")
    table.add_column("OpType", overflow="fold")
    table.add_column("type")
    for heading in ("scale", "zero", "clipped", "codes", "off by"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("exact on", overflow="fold")
    shown = ""
    for line in result.layers:
        if line.composite and line.composite != shown:
            table.add_row(Text(line.composite), Text(""))
        shown = line.composite
        table.add_row(*_cells(line, result))
    return table


def _cells(line: LayerLine, result: Verification) -> list[Text]:
    name = f"  {line.layer}" if line.composite else line.layer
    name += "" if line.tensor == line.layer else f" {line.tensor}"
    codes = line.scale is not None
    return [
        Text(name),
        Text(line.op_type),
        Text(line.dtype),
        Text(f"{line.scale:.4g}" if codes else ""),
        Text(str(line.zero_point) if codes else ""),
        Text(f"{100 * line.saturated:.1f} %" if codes else ""),
        Text(str(line.distinct)),
        Text("" if line.deviation is None else f"{line.deviation:.1g}" if line.deviation else "0"),
        _exact(line, result),
    ]


def _exact(line: LayerLine, result: Verification) -> Text:
    if line.differs:
        return Text(f"DIFFERS on {', '.join(line.differs)}", "bold red")
    count, planned = len(line.exact), len(result.matrix.targets)
    if not count:
        return Text("-", "dim")
    return Text(f"{count} of {planned}", "green" if count == planned else "yellow")


# A trace from elsewhere.


def _judge_trace(trace: Path | None, project: Path | None, json_out: Path | None) -> None:
    if trace is None or project is None:
        missing = "--project DIR" if project is None else "--trace FILE"
        fail_usage(f"--trace and --project belong together: {missing} is missing")
    from ares.pipeline.board_trace import TraceError, judge_trace

    try:
        judged = judge_trace(trace, project)
    except TraceError as error:
        fail_usage(str(error))
    if json_out is not None:
        write_text(json_out, json.dumps(judged.as_json(), indent=1) + "\n")
    console = wide_console()
    passed = judged.verdict.outcome is Outcome.PASS
    console.print(judged.verdict.message, markup=False, highlight=False, soft_wrap=True)
    word = "[bold green]EXACT[/]" if passed else f"[bold red]NOT EXACT[/]: {judged.verdict.fault}"
    console.print(f"{word}: {escape(judged.summary)}", highlight=False, soft_wrap=True)
    if not passed:
        raise typer.Exit(1)
