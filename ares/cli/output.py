"""Messages and files of the commands: one line for a usage error, whole files or none."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import NoReturn

import typer

USAGE = 2


def fail_usage(message: str) -> NoReturn:
    """One line on stderr, exit code 2."""
    line = " ".join(message.split())
    typer.echo(f"ares: {line}", err=True)
    raise typer.Exit(USAGE)


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
