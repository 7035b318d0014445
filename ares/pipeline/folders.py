"""Folders that a user named: written whole or not at all, and never over something that is there."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Container, Mapping
from pathlib import Path


def is_taken(folder: Path) -> bool:
    """Whether something is there that writing would destroy; an empty folder is nothing."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def write_whole(
    folder: Path, files: Mapping[str, bytes], executable: Container[str] = frozenset()
) -> None:
    """Write all files, by path within `folder`, under a temporary name beside it, then rename.

    `executable`: the paths of scripts. Raises FileExistsError where something is there, OSError where nothing can be
    written.
    """
    if is_taken(folder):
        raise FileExistsError(errno.EEXIST, "something is there already", str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".ares-") as temporary:
        root = Path(temporary, "whole")
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            if name in executable:
                path.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        shutil.move(root, folder)
