"""How every command is set up: plain help, `-h`, `--version`, and what a writer of stdout may meet.

Help is plain text. Drawn in frames it cuts the names of options off where the terminal is 80 columns wide or less.
"""

from __future__ import annotations

import difflib
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Annotated, Any

import typer
from typer.core import TyperGroup

import ares

_WIDEST_HELP = 100
CLOSED_PIPE = 141
"""Exit code where nobody reads on (`| head`): a shell's word for a program that SIGPIPE ended."""


class OutputError(Exception):
    """The result could not be shown: stdout cannot be written to. One line."""


class ClosedPipeError(Exception):
    """Nobody reads stdout any more."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ares {ares.__version__}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
]


class _Group(TyperGroup):
    """Commands, and which of them is near a word that is none."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands) or list(self.commands)
            ctx.fail(f"unknown command {args[0]!r}; nearest: {', '.join(near)}")
        return super().resolve_command(ctx, args)


def new_app(**settings: Any) -> typer.Typer:
    """A typer application with plain help."""
    return typer.Typer(
        cls=_Group,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "max_content_width": _WIDEST_HELP,
        },
        **settings,
    )


def with_version(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with `--version`, for a program that has no other command."""
    signature = inspect.signature(command, eval_str=True)
    version = inspect.Parameter(
        "version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Version
    )

    def run(**given: Any) -> Any:
        given.pop("version")
        return command(**given)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    parameters = [*signature.parameters.values(), version]
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def write_stdout(content: bytes) -> None:
    """Bytes as they are, behind what was printed."""
    if sys.stdout is None:
        raise OutputError("cannot write to stdout: it is closed")
    sys.stdout.flush()
    with _named():
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def silence(stream: IO[str]) -> None:
    """Make it the null device: what could not be written Python tries again at its end, and ends with 120."""
    with suppress(OSError, ValueError):  # a stream of a test has no descriptor
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


class _Stdout(io.TextIOWrapper):
    """stdout by another name: what it cannot spell is escaped (`\\xfc`), what it cannot take has a name of its own.

    As errors of the system they would be lost on the way: typer and rich make exit code 1, a verdict, of a closed pipe.
    """

    def write(self, text: str) -> int:
        with _named():
            return super().write(text)

    def flush(self) -> None:
        with _named():
            super().flush()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ClosedPipeError from error
    except OSError as error:
        raise OutputError(f"cannot write to stdout: {error.strerror}") from error


@contextmanager
def sturdy_stdout() -> Iterator[None]:
    """Around a command: raises OutputError where nothing more can be written (a full disk), ClosedPipeError where
    nobody reads. Then stdout is the null device, so that Python's own flush at the end finds nothing to complain of.
    """
    plain = sys.stdout
    if not isinstance(plain, io.TextIOWrapper):  # none at all (`>&-`), or a caller's own
        yield
        return
    plain.flush()
    sturdy = _Stdout(
        plain.buffer,
        encoding=plain.encoding,
        errors="backslashreplace",
        line_buffering=plain.line_buffering,
        write_through=plain.write_through,
    )
    sys.stdout = sturdy
    try:
        yield
        sturdy.flush()
    except (OutputError, ClosedPipeError):
        silence(plain)
        raise
    finally:
        sys.stdout = plain
        sturdy.detach()
