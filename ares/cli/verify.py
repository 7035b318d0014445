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
from ares.pipeline.folders import is_taken
from ares.pipeline.rendering import parts
from ares.pipeline.report import as_junit
from ares.toolchain import Target, ToolchainError, default_targets, select
from ares.verdict import Outcome

if TYPE_CHECKING:
    from ares.pipeline.user_model import UserModel
    from ares.pipeline.verification import Verification

_MOST_CASES = 10_000


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
    if out is not None and is_taken(out):
        fail_usage(f"{out} is there already and not empty; name a new folder or remove it first")
    import_torch()
    console = wide_console()
    with code_of_the_user():
        subject = user_model(choice, cases, _again())
        result = _run(console, subject, targets, jobs)
    kept = _keep(subject, result, out) if result.matrix.failures else None
    for part in parts(result, kept):
        console.print(part, soft_wrap=isinstance(part, Text), highlight=False)
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
