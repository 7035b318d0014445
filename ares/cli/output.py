"""Messages and files of the commands: one line for a usage error, whole files or none."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from ares.cli.setup import silence, write_stdout
from ares.files import write_file
from ares.tables import plain

USAGE = 2
DASH = "- is stdout, and what people read goes to stderr"
"""What a file for a result may be, too; part of a help text."""
_FILE_WIDTH = 400
# Opened by their names these would write over what is printed.
_STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def complain(message: str) -> None:
    """One line on stderr."""
    line = " ".join(message.split())
    try:
        typer.echo(f"ares: {line}", err=True)
    except OSError:  # there is nowhere left to say it
        silence(sys.stderr)


def fail_usage(message: str) -> NoReturn:
    """One line on stderr, exit code 2."""
    complain(message)
    raise typer.Exit(USAGE)


def shown(text: str, most: int = 60) -> str:
    """A user's word as a message quotes it: escaped, and its beginning where it is long."""
    return repr(text if len(text) <= most else f"{text[:most]}...")


def wide_console(*results: Path | None) -> Console:
    """A console for what people read: stdout, or stderr where one of the `results` takes stdout.

    A file or a pipe has no width: lines are cut nowhere.
    """
    stderr = any(map(_is_stdout, results))
    console = Console(stderr=stderr, highlight=False)
    if console.is_terminal:
        return console
    return Console(stderr=stderr, highlight=False, width=_FILE_WIDTH)


def show(console: Console, part: RenderableType) -> None:
    """A text or a table. On a terminal prose wraps at its words; a text that is `no_wrap`, and all in a file, is cut
    nowhere.
    """
    if not console.is_terminal:
        part = part if isinstance(part, Text) else Text(plain(part, console.width))
        console.print(part, soft_wrap=True)
    else:
        console.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))


def _is_stdout(path: Path | None) -> bool:
    return path is not None and str(path) in _STDOUT


def require_writable(*paths: Path | None) -> None:
    """Say before the run, not after it, that a result could not be written."""
    if sum(map(_is_stdout, paths)) > 1:
        fail_usage("only one result can be written to stdout")
    for path in paths:
        if path is None or _is_stdout(path):
            continue
        place = _place(path)
        if place.is_dir():
            fail_usage(f"cannot write {path}: it is a folder")
        if place.exists() and not place.is_file():
            continue  # a device or a pipe
        folder = place.parent
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            fail_usage(f"cannot write {path}: {folder} is no folder that can be written to")


def write_bytes(path: Path, content: bytes) -> None:
    """`write_file`, where `-` is stdout. A path that cannot be written is a usage error."""
    if _is_stdout(path):
        write_stdout(content)
        return
    try:
        write_file(path, content)
    except OSError as error:
        fail_usage(f"cannot write {path}: {error.strerror}")


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of UTF-8."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def _place(path: Path) -> Path:
    """Where a path leads to, through symbolic links."""
    return Path(os.path.realpath(path))
