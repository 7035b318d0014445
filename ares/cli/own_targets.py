"""The options that name targets of one's own, and the targets that they and `--target` choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ares.cli.output import complain, fail_usage
from ares.toolchain import Target, ToolchainError
from ares.toolchain.build import LIBC_WORDS

Cc = Annotated[
    str | None,
    typer.Option(
        "--cc", metavar="COMMAND", help="A compiler of your own with its flags, as target `cc`."
    ),
]
Runner = Annotated[
    str | None,
    typer.Option(
        "--runner",
        metavar="COMMAND",
        help="With --cc: what runs its programs; default: this machine.",
    ),
]
Board = Annotated[
    str | None,
    typer.Option(
        "--board",
        metavar="NAME",
        help="With --cc: the board of ours whose start-up code and emulator to use; default: what -M of the "
        "runner says.",
    ),
]
TargetsFile = Annotated[
    Path | None,
    typer.Option(
        "--targets-file", metavar="F", help="Targets of your own, in TOML: docs/own-targets.md."
    ),
]


def own_or_ours(
    patterns: Sequence[str] | None,
    cc: str | None,
    runner: str | None,
    board: str | None,
    targets_file: Path | None,
    *,
    none_will_do: bool = False,
) -> tuple[Target, ...]:
    """The targets, those of one's own tried; a usage error where the options are wrong.

    Where none can be used nothing can be verified: one line, exit code 2, unless `none_will_do`.
    """
    # Imported here: `check` and help need no compiler.
    from ares.pipeline.trial import NoTarget, named_targets

    def tell(what: str) -> None:
        if LIBC_WORDS in what:
            complain(what)

    try:
        return named_targets(patterns or (), cc, runner, board, targets_file, tell)
    except NoTarget as error:
        if none_will_do:
            return error.targets
        fail_usage(f"NOT VERIFIED: no target can be used: {error}")
    except ToolchainError as error:
        fail_usage(str(error))
