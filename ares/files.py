"""Files that a user names: ordinary ones only.

A pipe, a socket, a terminal or a device has no size, may never end, and may wait for ever to be opened.
"""

from __future__ import annotations

import stat
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
