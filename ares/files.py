"""Files and folders that a user names: read only where they are ordinary ones, written whole or not at all.

A pipe, a socket, a terminal or a device has no size, may never end, and may wait for ever to be opened.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Container, Mapping
from pathlib import Path

_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def why_no_file(path: Path) -> str:
    """Why `path` cannot be read as an ordinary file, to stand after its name; "" where it can be tried."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except (
        OSError,
        ValueError,
    ) as error:  # no right to look, a loop of links, a name that none can have
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISREG(mode):
        return ""
    if stat.S_ISDIR(mode):
        return "is a directory"
    return f"is {next((words for test, words in _KINDS if test(mode)), 'something else')}"


def write_file(path: Path, content: bytes) -> None:
    """Write under a temporary name beside `path`, then rename; raises OSError, and leaves then what was there.

    A symbolic link stays, and what it points to is written; a file that is there keeps its rights. What is no
    file (a device, a pipe) is written to: there is nothing to put in its place.
    """
    place = Path(os.path.realpath(path))
    if place.exists() and not (place.is_file() or place.is_dir()):
        place.write_bytes(content)
        return
    with tempfile.NamedTemporaryFile(dir=place.parent, prefix=".ares-", delete=False) as handle:
        temporary = Path(handle.name)
    try:
        temporary.write_bytes(content)
        temporary.chmod(_mode(place))
        temporary.replace(place)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _mode(place: Path) -> int:
    """The rights of a file that is there, else what the user's mask leaves of the usual ones."""
    if place.exists():
        return place.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def is_taken(folder: Path) -> bool:
    """Whether something is there that writing would destroy; an empty folder is nothing."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def write_folder(
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
