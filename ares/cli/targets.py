"""`ares targets`: every compiler, processor and set of flags that there is, and which can be used here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from ares.cli.output import (
    DASH,
    fail_usage,
    require_writable,
    show,
    wide_console,
    write_text,
)
from ares.cli.own_targets import Board, Cc, Runner, TargetsFile, own_or_ours
from ares.pipeline.result_files import target_facts
from ares.tables import Column, fitting_table
from ares.toolchain import TARGETS, Target, ToolchainError, missing_tools, select

Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Have the workers of a Dask cluster do the work: tcp://HOST:8786 (docs/cluster.md).",
    ),
]
RequireAllTargets = Annotated[
    bool, typer.Option("--require-all-targets", help="A target that cannot run here is a failure.")
]
"""Of the commands that run on targets."""

FORMAT = "ares-targets-1"
_COLUMNS = (
    Column("target"),
    Column("processor", spare=1),
    Column("order", spare=2),
    Column("bits", spare=3),
    Column("what", wraps=True),
    Column("here"),
)


def targets_command(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Names or globs ('*', 's390x-*'); default: all."),
    ] = None,
    cc: Cc = None,
    runner: Runner = None,
    board: Board = None,
    targets_file: TargetsFile = None,
    json_out: Annotated[
        Path | None, typer.Option("--json-out", metavar="P", help=f"Write them as JSON; {DASH}.")
    ] = None,
) -> None:
    """List the targets, what is missing here and what brings it.

    With --cc or --targets-file those of your own, each tried on the smallest network. Exit code 0; 2: usage.
    """
    require_writable(json_out)
    own = cc or runner or board or targets_file
    if own:
        chosen = own_or_ours(patterns, cc, runner, board, targets_file, none_will_do=True)
    else:
        try:
            chosen = select(patterns) if patterns else TARGETS
        except ToolchainError as error:
            fail_usage(str(error))
    absent = missing_tools(chosen)
    if json_out is not None:
        rows = [
            {
                "name": target.name,
                **target_facts(target),
                "default": target.default,
                "usable": absent[target.name] is None,
                "missing": absent[target.name] or "",
            }
            for target in chosen
        ]
        write_text(json_out, json.dumps({"format": FORMAT, "targets": rows}, indent=1) + "\n")
    show_targets(wide_console(json_out), chosen, absent)


def show_targets(
    console: Console, targets: Sequence[Target], absent: dict[str, str | None]
) -> None:
    """The table, then what is missing, one line a target, then how many there are."""
    rows = [
        [
            Text(f"{target.name}{' *' if target.default else ''}"),
            Text(target.machine.isa),
            Text(target.machine.byte_order),
            Text(str(target.machine.pointer_bits)),
            Text(target.description),
            Text("yes", "green") if absent[target.name] is None else Text("no", "yellow"),
        ]
        for target in targets
    ]
    show(console, fitting_table(_COLUMNS, rows, console.width))
    for name, reason in absent.items():
        if reason is not None:
            show(console, Text(f"{name}: {reason}", "yellow", no_wrap=True))
    usable = sum(reason is None for reason in absent.values())
    count = f"{len(targets)} target{'' if len(targets) == 1 else 's'}"
    ours = all(target in TARGETS for target in targets)
    tail = "; * default. What was found out on each: docs/targets.md" if ours else ""
    show(console, Text(f"{count}, {usable} can be used here{tail}"))
