"""Where built files are kept: each under a key that says everything it was made from.

An entry is a folder with one file and a record of its SHA-256, which is written last; a missing or damaged entry is
made again. Processes that want the same entry wait for each other and make it once. Entries that nobody asked for
in `KEPT_DAYS` are dropped.

Place: `$ARES_CACHE_DIR`, else `$XDG_CACHE_HOME/ares`, else `~/.cache/ares`. It may be deleted at any time. What is kept
is run, and believed: a folder that others can write to is refused (docs/soundness.md).
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from ares.toolchain.faults import ToolchainError

KEPT_DAYS = 14
VARIABLE = "ARES_CACHE_DIR"
_RECORD = "record.json"
_FAILED = "failed"
_DAY = 24 * 3600


def default_root() -> Path | None:
    """The folder of the cache, from the environment; None for a user who has no home."""
    own = os.environ.get(VARIABLE)
    if own:
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache").absolute() / "ares"
    except RuntimeError:  # neither $HOME nor an entry among the users
        return None


def open_cache() -> Cache:
    """The cache at its place.

    Where that cannot be used, the cache is a temporary folder, until this process ends, and a line on stderr says so.
    A place that `$ARES_CACHE_DIR` names was chosen: raises ToolchainError, in one line, when nothing can be kept there.
    """
    root = default_root()
    fault = "you have no home folder" if root is None else _unusable(root)
    if root is not None and fault is None:
        return Cache(root)
    if os.environ.get(VARIABLE):
        raise ToolchainError(
            f"cannot keep built files: {fault}; set {VARIABLE} to a folder of your own"
        )
    return Cache(_temporary_root(f"cannot keep built files: {fault}"))


def _unusable(root: Path) -> str | None:
    """Why nothing can be kept in a folder, or nothing in it be believed; makes it where it is absent."""
    try:
        # Folder by folder: `parents` would make those above with the rights of the umask, which others may have too.
        for folder in (*reversed(root.parents), root):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
        found = root.stat()
    except OSError as error:
        return f"{root}: {error.strerror}"
    if not stat.S_ISDIR(found.st_mode):
        return f"{root} is no folder"
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        return f"{root} cannot be written to"
    return _foreign(root, found)


def _foreign(root: Path, found: os.stat_result) -> str | None:
    """Who else could have put programs into a folder; the rules of ssh for its keys."""
    if not hasattr(os, "getuid"):  # Windows has other rights, which a user's own folders inherit
        return None
    me = os.getuid()
    if found.st_uid != me:
        return f"{root} belongs to user {found.st_uid}, you are {me}: his programs would run as you"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"others can write to {root}, and what is in it runs as you; remove it, "
            "or look through it and chmod go-w"
        )
    for parent in root.resolve().parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"others can replace {root}: anybody can write to {parent}"
    return None


def _temporary_root(why: str) -> Path:
    """A new folder for this process and its children, which find it in the environment."""
    try:
        root = Path(tempfile.mkdtemp(prefix="ares-cache-"))
    except OSError as error:
        raise ToolchainError(f"{why}; nor in a temporary folder: {error.strerror}") from error
    os.environ[VARIABLE] = str(root)
    atexit.register(_remove_temporary, root, os.getpid())
    sys.stderr.write(f"ares: {why}; they go to {root} until this command ends\n")
    return root


def _remove_temporary(root: Path, owner: int) -> None:
    """All but what failed, which a report may have named."""
    if os.getpid() != owner:
        return
    for path in root.iterdir():
        if path.name != _FAILED:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    with suppress(OSError):  # something failed
        root.rmdir()


@dataclass(frozen=True, slots=True)
class Cache:
    """Built files below `root`: `<kind>/<key>/<file>`."""

    root: Path

    def obtain(
        self, kind: str, key: str, file: str, make: Callable[[Path], None], since: float = 0.0
    ) -> Path:
        """The path of an entry's file. `make` gets an empty folder and must leave `file` in it.

        What else `make` leaves is thrown away; what it raises passes through, and nothing is kept. An entry that was
        made before `since` (seconds of the epoch) is made again.
        """
        entry = self.root / kind / key
        if _is_whole(entry, file, since):
            return entry / file
        with self._locked(f"{kind}-{key[:2]}"):  # never two at once, so that sharing cannot lock up
            if not _is_whole(entry, file, since):  # nobody made it while this process waited
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
        kept = self.root / _FAILED / key
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        folder.rename(kept)
        return kept

    def _make(self, entry: Path, file: str, make: Callable[[Path], None]) -> None:
        staging = self.root / "staging"
        staging.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=staging, ignore_cleanup_errors=True) as name:
            work, record = Path(name, "work"), Path(name, _RECORD)
            work.mkdir()
            start = time.time()
            make(work)
            facts = {"sha256": _sha256(work / file), "made": start}
            record.write_text(json.dumps(facts), encoding="utf-8")
            entry.mkdir(parents=True, exist_ok=True)
            # One by one, in place: a path that somebody was given stays valid. Between the two the entry is damaged.
            (work / file).replace(entry / file)
            record.replace(entry / _RECORD)
        self._drop_unused()

    @contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / name)  # released by a crash too
        try:
            lock.acquire()
        except NotImplementedError as error:  # filelock's word for a file system without locks
            raise ToolchainError(
                f"files in {self.root} cannot be locked; set {VARIABLE} to a folder on a local disk"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _drop_unused(self) -> None:
        """Once a day, remove what has not been used for long."""
        marker = self.root / "cleaned"
        now = time.time()
        if marker.exists() and now - marker.stat().st_mtime < _DAY:
            return
        marker.touch()
        limit = now - KEPT_DAYS * _DAY
        entries = [path.parent for path in self.root.glob(f"*/*/{_RECORD}")]
        leftovers = [*self.root.glob("staging/*"), *self.root.glob(f"{_FAILED}/*")]
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


def _is_whole(entry: Path, file: str, since: float = 0.0) -> bool:
    """True when the entry is what it was when it was made, not before `since`; marks it as used."""
    record = entry / _RECORD
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        whole = bool(facts["made"] >= since and facts["sha256"] == _sha256(entry / file))
        os.utime(record)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return whole


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
