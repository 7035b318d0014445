"""Messages and files of the commands: one line for a usage error, whole files or none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NoReturn

import typer
from rich.console import Console

USAGE = 2
_FILE_WIDTH = 400


def fail_usage(message: str) -> NoReturn:
    """One line on stderr, exit code 2."""
    line = " ".join(message.split())
    typer.echo(f"ares: {line}", err=True)
    raise typer.Exit(USAGE)


def wide_console() -> Console:
    """A console for results. A file or a pipe has no width: lines are cut nowhere."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def require_writable(path: Path | None) -> None:
    """Say before the run, not after it, that a result could not be written."""
    if path is None:
        return
    if not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        fail_usage(f"cannot write {path}: {path.parent} is no folder that can be written to")
    if path.is_dir():
        fail_usage(f"cannot write {path}: it is a folder")


def write_bytes(path: Path, content: bytes) -> None:
    """Write under a temporary name beside `path`, then rename. A path that cannot be written is a usage error."""
    temporary: Path | None = None
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            # A device or a pipe, such as /dev/stdout: there is nothing to put in its place.
            path.write_bytes(content)
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as handle:
            temporary = Path(handle.name)
            handle.write(content)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        fail_usage(f"cannot write {path}: {error.strerror}")


def write_text(path: Path, content: str) -> None:
    """`write_bytes` of UTF-8."""
    write_bytes(path, content.encode())
