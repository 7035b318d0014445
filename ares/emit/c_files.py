"""The C files of a folder. Those that are as they were are not read again: a fuzzer emits thousands of projects."""

from __future__ import annotations

import os
from pathlib import Path

_Stamp = tuple[int, int, int, int]
_READ: dict[str, tuple[_Stamp, bytes]] = {}
"""By path: what a file was told apart by when it was read, and its content."""


def c_files(folder: Path, name: str) -> dict[str, bytes]:
    """Sources and headers of a folder in the order of their names: `name/...` -> content."""
    with os.scandir(folder) as entries:
        found = sorted(
            (each.name, each.path) for each in entries if each.name.endswith((".c", ".h"))
        )
    return {f"{name}/{file}": _content(path) for file, path in found}


def _content(path: str) -> bytes:
    facts = os.stat(path)
    stamp = facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns
    known = _READ.get(path)
    if known is not None and known[0] == stamp:
        return known[1]
    with open(path, "rb") as file:
        content = file.read()
    _READ[path] = stamp, content
    return content
