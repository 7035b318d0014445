"""Records of what takes long: `docs/evidence/<part>.json`, each with the command that makes it again.

A record says what it rests on: the digest of the files that it was made from. `docs/evidence.md` says of each whether
these files are still the same.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ares.files import write_file

FOLDER = "docs/evidence"


def sources_digest(root: Path, patterns: Iterable[str]) -> str:
    """SHA-256 over names and contents of the files under `root` that match one of the glob patterns."""
    paths = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def write_record(
    root: Path, part: str, command: str, patterns: Sequence[str], figures: Mapping[str, Any]
) -> Path:
    """Write the record of a part, whole or not at all; its path.

    `command` makes it again; `patterns` are globs of the files that it rests on; `figures` may use no key of those that
    are put beside them.
    """
    facts = {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": {name: version(name) for name in ("brevitas", "numpy", "torch")},
        "patterns": list(patterns),
        "sources": sources_digest(root, patterns),
    }
    twice = facts.keys() & figures.keys()
    if twice:
        raise ValueError(f"figures of {part} use {sorted(twice)}, which every record has")
    path = root / FOLDER / f"{part}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, (json.dumps({**facts, **figures}, indent=1) + "\n").encode())
    return path


def read_record(root: Path, part: str) -> Mapping[str, Any] | None:
    """The record of a part, None where there is none yet."""
    path = root / FOLDER / f"{part}.json"
    if not path.exists():
        return None
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def is_current(root: Path, record: Mapping[str, Any]) -> bool:
    """Whether the files that a record rests on are still the same."""
    same: bool = sources_digest(root, record["patterns"]) == record["sources"]
    return same
