"""`ares trace`: what an exported project's self-test printed elsewhere, judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ares.cli.output import DASH, fail_usage, require_writable, wide_console, write_text
from ares.verdict import Outcome


def trace_command(
    trace: Annotated[
        Path, typer.Argument(metavar="FILE", help="The lines that the self-test printed.")
    ],
    project: Annotated[
        Path, typer.Argument(metavar="DIR", help="The exported project that it was built from.")
    ],
    json_out: Annotated[
        Path | None,
        typer.Option("--json-out", metavar="P", help=f"Write the whole result as JSON; {DASH}."),
    ] = None,
) -> None:
    """Judge what the self-test of an exported project printed, on a board for example.

    Every digest must be the one that `ares export` wrote into DIR/expected.json. Exit code 0: all are; 1: one differs,
    or the lines are not those of a whole run of this project; 2: usage, or a file that cannot be read.
    """
    require_writable(json_out)
    from ares.verifier.trace import TraceError, judge_trace

    try:
        judged = judge_trace(trace, project)
    except TraceError as error:
        fail_usage(str(error))
    if json_out is not None:
        write_text(json_out, json.dumps(judged.as_json(), indent=1) + "\n")
    console = wide_console(json_out)
    passed = judged.verdict.outcome is Outcome.PASS
    console.print(judged.verdict.message, markup=False, highlight=False, soft_wrap=True)
    word = "[bold green]EXACT[/]" if passed else f"[bold red]NOT EXACT[/]: {judged.verdict.fault}"
    console.print(f"{word}: {escape(judged.summary)}", highlight=False, soft_wrap=True)
    if not passed:
        raise typer.Exit(1)
