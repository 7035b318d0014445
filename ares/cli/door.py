"""How a command is started: from `ares` or from one of the doors in `tools/`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn, cast

import typer

from ares.cli.limits import limit_of
from ares.cli.output import USAGE, complain
from ares.cli.setup import (
    CLOSED_PIPE,
    ClosedPipeError,
    OutputError,
    new_app,
    sturdy_stdout,
    with_version,
)
from ares.versions import UnsupportedVersionError

# Unknown options, missing values and the like; typer has no name of its own for it.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])


def run_app(app: typer.Typer) -> NoReturn:
    """Run the application and leave Python.

    Options that are used wrongly, and versions of torch and Brevitas that ARES does not work with, are one line on
    stderr, exit code 2. So is a stdout that cannot be written to; one that nobody reads is silence and exit code 141.
    Memory and the like that run out (`limit_of`) are one line and exit code 2 too.
    """
    try:
        with sturdy_stdout():
            code = app(standalone_mode=False)
    except _UsageError as error:
        message = _words(error)
        if message:  # without any argument, help was shown instead
            complain(message)
        sys.exit(USAGE)
    except (UnsupportedVersionError, OutputError) as error:
        complain(str(error))
        sys.exit(USAGE)
    except ClosedPipeError:
        sys.exit(CLOSED_PIPE)
    except Exception as error:
        # Broad, and nothing is swallowed: whatever speaks of no limit goes on as it is.
        limit = limit_of(error)
        if not limit:
            raise
        complain(limit)
        sys.exit(USAGE)
    sys.exit(code if isinstance(code, int) else 0)


def _words(error: Any) -> str:
    """What is wrong with the usage; of an option that is a command, how that is used."""
    name = getattr(error, "option_name", None) or ""
    group: Any = error.ctx.parent if error.ctx else None
    command = getattr(group and group.command, "commands", {}).get(name.removeprefix("--"))
    if command is None:
        return " ".join(error.format_message().split())
    given = [each.metavar for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([*group.command_path.split(), command.name, *given])
    return f"{error.ctx.command.name} has no option {name}, but there is a command: {usage}"


def run_command(command: Callable[..., Any]) -> NoReturn:
    """Run one command alone, as `run_app` does."""
    app = new_app()
    app.command()(with_version(command))
    run_app(app)
