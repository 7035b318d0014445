"""What the machine or Python has too little of for a command: said in one line, exit code 2, as a wrong option is.

Memory, the stack, open files, processes and threads, room on a disk. What a user hands over (a model, its data) uses
them up, or an administrator has limited them: no fault of ARES, and no verdict on the model.
"""

from __future__ import annotations

import errno

_LONGEST = 300
# What torch and Python raise as RuntimeError for want of a class of its own.
_WORDS = ("can't allocate memory", "can't start new thread")
# What the loader of shared libraries says, in an ImportError.
_LOADER = ("failed to map segment", "cannot allocate memory", "Too many open files")
_NUMBERS = (
    *(errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN),
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
)
_NO_TEMPORARY = "No usable temporary directory"


def limit_of(error: Exception) -> str:
    """The limit that an exception speaks of, in one line; "" for any other exception."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
    match error:
        case MemoryError() | RecursionError() | OverflowError():
            return f"this takes more than the machine has, or Python allows: {text}"
        case RuntimeError() if any(words in text for words in _WORDS):
            return f"this takes more than the machine has: {text}"
        case ImportError() if any(words in text for words in _LOADER):
            return f"a library cannot be loaded, for this takes more than the machine has: {text}"
        case OSError() if error.errno in _NUMBERS:
            return f"the system has no more of what this takes: {text}"
        case OSError() if _NO_TEMPORARY in text:
            return f"no folder for temporary files can be written to; set TMPDIR to one: {text}"
    return ""
