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
from ares.cli.output import (
    DASH,
    USAGE,
    fail_usage,
    require_writable,
    show,
    wide_console,
    write_text,
)
from ares.cli.own_targets import Board, Cc, Runner, TargetsFile, own_or_ours
from ares.cli.targets import RequireAllTargets
from ares.files import is_taken
from ares.pipeline.result_files import as_junit
from ares.toolchain import Target
from ares.toolchain.build import LIBC_WORDS
from ares.verdict import Outcome, Verdict
from ares.verifier.rendering import parts

if TYPE_CHECKING:
    from ares.pipeline.matrix import Event
    from ares.verifier.user_subject import UserSubject
    from ares.verifier.verification import Verification

_MOST_CASES = 10_000


Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="T",
        help="Target name or glob ('*', 's390x-*'); repeatable. Default: all of your own (--cc, --targets-file), "
        "or the default targets.",
    ),
]
Cases = Annotated[
    int | None,
    typer.Option(
        "--cases",
        metavar="N",
        min=1,
        max=_MOST_CASES,
        help="Number of cases: the given inputs, then random and edge values. Default: 3, or all samples "
        "of --inputs (at most 64) and two.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, help="Targets side by side; default: one per core."),
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Build and compare anew what was exact on the same content.")
]
Prove = Annotated[
    bool,
    typer.Option(
        "--prove",
        help="Also show, layer by layer, for which inputs the compiled code is right, as `ares prove` does.",
    ),
]
JsonOut = Annotated[
    Path | None,
    typer.Option("--json-out", metavar="P", help=f"Write the whole result as JSON; {DASH}."),
]
JunitOut = Annotated[
    Path | None,
    typer.Option("--junit-out", metavar="P", help="Write it as JUnit's XML; - as well."),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where a failure is kept, to be repeated without ARES. Default: ./ares-failure-<name>.",
    ),
]


def verify_command(
    model_file: ModelFile = None,
    test_network: TestNetwork = None,
    model_class: ModelClass = None,
    init_kwarg: InitKwarg = None,
    input_shape: InputShape = None,
    state_dict: StateDict = None,
    inputs: InputData = None,
    target: Targets = None,
    cc: Cc = None,
    runner: Runner = None,
    board: Board = None,
    targets_file: TargetsFile = None,
    cases: Cases = None,
    jobs: Jobs = None,
    require_all_targets: RequireAllTargets = False,
    fresh: Fresh = False,
    prove: Prove = False,
    json_out: JsonOut = None,
    junit_out: JunitOut = None,
    out: Out = None,
) -> None:
    """Show that the generated C computes the very integers of a model, in every layer, on every chosen target.

    The Brevitas model in float64, an integer reference and the compiled C are compared on each case. Exit code 0:
    all are equal; 1: something differs, does not build, or cannot be mapped; 2: usage, a model or file that cannot
    be loaded, or NOT VERIFIED: this machine kept it from comparing anything.

    A compiler of your own: --cc "arm-none-eabi-gcc -mcpu=cortex-m4 -O2" --runner "qemu-system-arm -M mps2-an386".
    """
    require_writable(json_out, junit_out)
    choice = choose(
        model_file, test_network, model_class, init_kwarg, input_shape, state_dict, inputs
    )
    targets = own_or_ours(target, cc, runner, board, targets_file)
    if out is not None and is_taken(out):
        fail_usage(f"{out} is there already and not empty; name a new folder or remove it first")
    import_torch()
    console = wide_console(json_out, junit_out)
    with code_of_the_user(console):
        subject = user_model(choice, cases, _again())
        result = _run(console, subject, targets, jobs, fresh, prove)
    kept = _keep(subject, result, out) if result.matrix.failures else None
    for part in parts(result, kept, console.width):
        show(console, part)
    _write(result, kept, json_out, junit_out)
    if not result.known:
        raise typer.Exit(USAGE)
    if not result.passed or (require_all_targets and result.matrix.not_run):
        raise typer.Exit(1)


def _write(
    result: Verification, kept: Path | None, json_out: Path | None, junit_out: Path | None
) -> None:
    if json_out is not None:
        content = {**result.as_json(), "reproduction": None if kept is None else str(kept)}
        write_text(json_out, json.dumps(content, indent=1) + "\n")
    if junit_out is not None:
        write_text(junit_out, as_junit(result.matrix))


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
    console: Console,
    subject: UserSubject,
    targets: Sequence[Target],
    jobs: int | None,
    fresh: bool,
    prove: bool,
) -> Verification:
    from ares.verifier.verification import verify

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

        wait = _Wait()

        def progress(event: Event) -> None:
            what = escape(", ".join(event.running)) or subject.name
            bar.update(task, description=what, completed=event.done, total=event.planned)
            wait.hear(event)

        return verify(subject, targets, jobs, progress, fresh=fresh, proofs=prove)


class _Wait:
    """Whoever waits for a library sees, on stderr, what for, and what is known already."""

    def __init__(self) -> None:
        self._waits = False
        self._unsaid: list[Verdict] = []

    def hear(self, event: Event) -> None:
        self._unsaid += event.verdicts
        if LIBC_WORDS in event.told:
            self._waits = True
            typer.echo(event.told, err=True)
        if self._waits and event.done < event.planned:
            for verdict in self._unsaid:
                word = "exact" if verdict.outcome is Outcome.PASS else verdict.outcome.value
                typer.echo(f"{verdict.stage}: {word}", err=True)
            self._unsaid.clear()


def _keep(subject: UserSubject, result: Verification, out: Path | None) -> Path | None:
    """The folder that repeats the first failure of a target, None where only Python is at fault."""
    from ares.verifier.reproduction import free_folder, reproduction_of

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
