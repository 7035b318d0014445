"""`ares mutate`: faults made by rule, and what sees them."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from ares.cli.output import complain, fail_usage, show, wide_console
from ares.resources import ResourceError, checkout_dir

if TYPE_CHECKING:
    from ares.mutator.campaign import Drawn, Wanted
    from ares.mutator.mutant import Language, Mutant
    from ares.mutator.outcome import Outcome
    from ares.mutator.tally import Tally

_PARSERS = ("tree_sitter", "tree_sitter_c")

C = Annotated[bool, typer.Option("--c", help="Mutants of the C alone.")]
Python = Annotated[bool, typer.Option("--python", help="Mutants of the Python alone.")]
File = Annotated[
    list[str] | None,
    typer.Option("--file", metavar="PATTERN", help="Files by a glob or a part; repeatable."),
]
Sample = Annotated[
    int | None,
    typer.Option("--sample", metavar="N", min=1, help="So many of each language, by the seed."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="Which ones a sample holds.")]
Jobs = Annotated[
    int | None, typer.Option("--jobs", metavar="N", min=1, help="At once; default: the cores.")
]
One = Annotated[str, typer.Option("--mutant", metavar="ID", help="One mutant, by its name.")]
Step = Annotated[
    list[str] | None,
    typer.Option("--step", metavar="STEP", help="Only these killers; repeatable. Default: all."),
]
OneWay = Annotated[
    list[str] | None,
    typer.Option("--way", metavar="WAY", help="C only in these ways (portable); repeatable."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Try again what is known already.")]
Record = Annotated[
    bool, typer.Option("--record", help="Write the figures to docs/evidence/mutation.json.")
]
ListOnly = Annotated[bool, typer.Option("--list", help="Show the mutants, and try none.")]


def mutate_command(
    c: C = False,
    python: Python = False,
    file: File = None,
    sample: Sample = None,
    seed: Seed = 1,
    mutant: One = "",
    step: Step = None,
    way: OneWay = None,
    jobs: Jobs = None,
    fresh: Fresh = False,
    record: Record = False,
    list_only: ListOnly = False,
) -> None:
    """Make faults by rule in the C runtime and in the Python that makes and judges it, and see what notices them.

    In a checkout only, of which nothing is changed. What is known of a mutant is kept; an interrupted campaign goes on
    where it was. Exit code 0: every mutant that is not equivalent was noticed; 1: some survived, each with the command
    that shows it again; 2: usage, or something is missing.
    """
    console = wide_console(None)
    root = _checkout()
    from ares.mutator.campaign import Wanted
    from ares.mutator.equivalent import ClaimsError, claims

    try:
        reasons = claims(root)
    except ClaimsError as error:
        fail_usage(str(error))
    _require_known(step or (), way or ())
    cores = jobs or os.cpu_count() or 1
    wanted = Wanted(
        root,
        file or (),
        sample,
        seed,
        mutant,
        cores,
        fresh,
        step or (),
        way or (),
        frozenset(reasons),
    )
    if record and (file or mutant or step or way):
        fail_usage("a record is of everything: no --file, --mutant, --step, --way with it")
    drawn = [_draw(language, wanted) for language in _languages(c, python, mutant)]
    _require_some(drawn, mutant, file or ())
    if list_only:
        _list(drawn, console)
        return
    tallies = [_run(each, wanted, console) for each in drawn if each.mutants]
    for tally in tallies:
        _show(tally, console, one=bool(mutant))
    _show_stale(reasons, drawn)
    if record:
        _record(root, tallies, reasons, seed)
    raise typer.Exit(1 if any(tally.having("survived") for tally in tallies) else 0)


def _require_some(drawn: Sequence[Drawn], mutant: str, patterns: Sequence[str]) -> None:
    if not any(each.mutants for each in drawn):
        what = f"mutant {mutant!r}" if mutant else f"file {' '.join(patterns)!r}"
        fail_usage(f"there is no {what}; ares mutate --list shows them")


def _list(drawn: Sequence[Drawn], console: Console) -> None:
    for each in drawn:
        for one in each.mutants:
            show(console, Text(f"{one.name}  {one.line}", no_wrap=True))


def _checkout() -> Path:
    try:
        root = checkout_dir()
    except ResourceError as error:
        fail_usage(str(error))
    from ares.mutator.campaign import is_checkout

    if not is_checkout(root):
        fail_usage(f"{root} is not the checkout that this ares is installed from")
    return root


def _languages(c: bool, python: bool, mutant: str) -> list[Language]:
    if mutant:
        return ["python" if mutant.partition(":")[0].endswith(".py") else "c"]
    chosen: list[Language] = []
    if c or not python:
        chosen.append("c")
    if python or not c:
        chosen.append("python")
    return chosen


def _require_known(steps: Sequence[str], ways: Sequence[str]) -> None:
    from ares.mutator import c_killing, python_killing
    from ares.mutator.ways import WAYS

    known = dict.fromkeys((*c_killing.STEPS, *python_killing.STEPS))
    for option, words, all_words in (("--step", steps, known), ("--way", ways, WAYS)):
        for word in words:
            if word not in all_words:
                fail_usage(f"{option} {word}: expected one of {', '.join(all_words)}")


def _draw(language: Language, wanted: Wanted) -> Drawn:
    from ares.mutator.campaign import draw

    if language == "c":
        for name in _PARSERS:
            if importlib.util.find_spec(name) is None:
                fail_usage(f'{name} is not installed: pip install -e ".[mutate]"')
    return draw(language, wanted)


def _run(drawn: Drawn, wanted: Wanted, console: Console) -> Tally:
    from ares.mutator.campaign import tried
    from ares.mutator.tally import Tally
    from ares.toolchain import ToolchainError

    claimed = [] if wanted.mutant else [m.name for m in drawn.mutants if m.name in wanted.claimed]
    tally = Tally(drawn.language, len(drawn.names), claimed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
    with progress as bar:
        task = bar.add_task(drawn.language, total=len(drawn.mutants) - len(claimed))

        def tell(words: str) -> None:
            bar.update(task, description=words[:70])
            if words.startswith("not tried"):
                complain(words)
            elif not console.is_terminal:
                show(console, Text(words, no_wrap=True))

        try:
            for result in tried(drawn, wanted, tell):
                tally.results.append(result)
                if not console.is_terminal:  # a log
                    _log(console, *result)
                survived = len(tally.having("survived"))
                bar.update(task, advance=1, description=f"{drawn.language}, {survived} survived")
        except ToolchainError as error:
            fail_usage(str(error))
    return tally


def _log(console: Console, mutant: Mutant, outcome: Outcome) -> None:
    words = f"{outcome.state} {outcome.step} {outcome.seconds:.1f} s: {mutant.name}"
    show(console, Text(words, no_wrap=True))


def _show(tally: Tally, console: Console, *, one: bool) -> None:
    for entry in tally.survivors():
        show(console, Text(entry))
    if one:
        for _, outcome in tally.results:
            show(console, Text(f"{outcome.state} {outcome.step} {outcome.by}: {outcome.words}"))
        return
    for line in tally.lines():
        show(console, Text(line))


def _show_stale(reasons: Mapping[str, str], drawn: list[Drawn]) -> None:
    from ares.mutator.equivalent import stale

    for each in drawn:
        for name in stale(reasons, each.names, each.files):
            complain(f"claimed equivalent, and no longer there: {name}")


def _record(root: Path, tallies: list[Tally], reasons: Mapping[str, str], seed: int) -> None:
    from ares.evidence import write_record
    from ares.mutator.campaign import C_SOURCES, PYTHON_SOURCES

    command = shlex.join(["ares", "mutate", *sys.argv[2:]])
    sources = sorted({*C_SOURCES, *PYTHON_SOURCES})
    figures: dict[str, Any] = {tally.language: tally.figures(reasons) for tally in tallies}
    write_record(root, "mutation", command, sources, {"seed": seed, **figures})
