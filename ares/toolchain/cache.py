"""Where built files are kept: each under a key that says everything it was made from.

An entry is a folder with one file and a record of its SHA-256. It appears whole, by a rename, or not at all; a
missing or damaged one is made again. Processes that want the same entry wait for each other and make it once.
Entries that nobody asked for in `KEPT_DAYS` are dropped.

Place: `$ARES_CACHE_DIR`, else `$XDG_CACHE_HOME/ares`, else `~/.cache/ares`. It may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ares.toolchain.faults import ToolchainError

KEPT_DAYS = 14
_RECORD = "record.json"


def default_root() -> Path:
    """The folder of the cache, from the environment."""
    own = os.environ.get("ARES_CACHE_DIR")
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "ares"


def open_cache() -> Cache:
    """The cache at its place; raises ToolchainError when nothing can be kept there."""
    root = default_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ToolchainError(
            f"cannot keep built files in {root}: {error.strerror}; set ARES_CACHE_DIR to another folder"
        ) from error
    return Cache(root)


@dataclass(frozen=True, slots=True)
class Cache:
    """Built files below `root`: `<kind>/<key>/<file>`."""

    root: Path

    def obtain(self, kind: str, key: str, file: str, make: Callable[[Path], None]) -> Path:
        """The path of an entry's file. `make` gets an empty folder and must leave `file` in it.

        What else `make` leaves is thrown away; what it raises passes through, and nothing is kept.
        """
        entry = self.root / kind / key
        if _is_whole(entry, file):
            return entry / file
        with self._locked(f"{kind}-{key[:2]}"):  # never two at once, so that sharing cannot lock up
            if not _is_whole(entry, file):  # nobody else made it while this process waited
                self._make(entry, file, make)
        return entry / file

    def find(self, kind: str, key: str, file: str) -> Path | None:
        """The path of an entry's file, None when there is no whole entry."""
        entry = self.root / kind / key
        return entry / file if _is_whole(entry, file) else None

    def put(self, kind: str, key: str, file: str, content: bytes) -> Path:
        """Keep `content` as an entry, in place of the one that may be there."""
        entry = self.root / kind / key
        with self._locked(f"{kind}-{key[:2]}"):
            self._make(entry, file, lambda work: _write_new(work / file, content))
        return entry / file

    def drop(self, kind: str, key: str) -> None:
        """Forget an entry, if there is one."""
        with self._locked(f"{kind}-{key[:2]}"):
            shutil.rmtree(self.root / kind / key, ignore_errors=True)

    def keep_failed(self, key: str, folder: Path) -> Path:
        """Move the folder of a failed build to where a user can look into it."""
        kept = self.root / "failed" / key
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        folder.rename(kept)
        return kept

    def _make(self, entry: Path, file: str, make: Callable[[Path], None]) -> None:
        staging = self.root / "staging"
        staging.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=staging, ignore_cleanup_errors=True) as name:
            work, ready = Path(name, "work"), Path(name, "ready")
            work.mkdir()
            ready.mkdir()
            make(work)
            (work / file).rename(ready / file)
            record = {"sha256": _sha256(ready / file)}
            (ready / _RECORD).write_text(json.dumps(record), encoding="utf-8")
            entry.parent.mkdir(parents=True, exist_ok=True)
            if entry.exists():
                entry.rename(Path(name, "damaged"))
            ready.rename(entry)
        self._drop_unused()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with open(locks / name, "a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed, even by a crash
            yield

    def _drop_unused(self) -> None:
        """Once a day, remove what has not been used for long."""
        marker = self.root / "cleaned"
        now = time.time()
        if marker.exists() and now - marker.stat().st_mtime < 24 * 3600:
            return
        marker.touch()
        limit = now - KEPT_DAYS * 24 * 3600
        entries = [path.parent for path in self.root.glob(f"*/*/{_RECORD}")]
        leftovers = [*self.root.glob("staging/*"), *self.root.glob("failed/*")]
        for path in (*entries, *leftovers):
            if _last_use(path, now) < limit:
                shutil.rmtree(path, ignore_errors=True)


def _last_use(path: Path, now: float) -> float:
    """When an entry or a leftover was used; now, when another process is just clearing it away."""
    record = path / _RECORD
    try:
        return (record if record.exists() else path).stat().st_mtime
    except FileNotFoundError:
        return now


def _write_new(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _is_whole(entry: Path, file: str) -> bool:
    """True when the entry is what it was when it was made; marks it as used."""
    record = entry / _RECORD
    try:
        expected = json.loads(record.read_text(encoding="utf-8"))["sha256"]
        whole = bool(expected == _sha256(entry / file))
        os.utime(record)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return whole


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
