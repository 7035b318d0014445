"""How a command is started: from `ares` or from one of the doors in `tools/`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn, cast

import typer

from ares.cli.output import USAGE
from ares.versions import UnsupportedVersionError

# Unknown options, missing values and the like; typer has no name of its own for it.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])


def run_app(app: typer.Typer) -> NoReturn:
    """Run the application and leave Python.

    Options that are used wrongly, and versions of torch and Brevitas that ARES does not work with, are one line on
    stderr, exit code 2.
    """
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        message = " ".join(error.format_message().split())
        if message:  # without any argument, help was shown instead
            typer.echo(f"ares: {message}", err=True)
        sys.exit(USAGE)
    except UnsupportedVersionError as error:
        typer.echo(f"ares: {error}", err=True)
        sys.exit(USAGE)
    sys.exit(code if isinstance(code, int) else 0)


def run_command(command: Callable[..., Any]) -> NoReturn:
    """Run one command alone, as `run_app` does."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    run_app(app)
