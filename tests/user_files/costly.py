"""What tests of costly files share: the limits that they hold to, and directories of zip archives made by hand."""

from __future__ import annotations

import resource
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

MEGA = 2**20
LONGEST = 40.0  # seconds, of which a child may use 10 and the import of torch some
MOST_GROWN = 300 * MEGA
MOST_CHILD = 800 * MEGA


def peak(who: int) -> int:
    return 1024 * resource.getrusage(who).ru_maxrss


@contextmanager
def limited() -> Iterator[None]:
    """Time, and memory of this process and of its children.

    Peaks are never forgotten: the limits are sharp where these tests run alone.
    """
    started, before = time.monotonic(), peak(resource.RUSAGE_SELF)
    children = peak(resource.RUSAGE_CHILDREN)
    yield
    assert time.monotonic() - started < LONGEST
    assert peak(resource.RUSAGE_SELF) - before < MOST_GROWN
    # A child starts as a copy of this process, and compilers of other tests are children too.
    known = max(children, peak(resource.RUSAGE_SELF))
    assert peak(resource.RUSAGE_CHILDREN) <= max(known, MOST_CHILD)


def directory(entries: list[tuple[bytes, int, int, int, int, int]]) -> bytes:
    """Of entries (name, method, CRC, packed size, size, place)."""
    return b"".join(
        struct.pack(
            "<4s4B4H3L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, method, 0, 33, crc, packed, size,
            len(name), 0, 0, 0, 0, 0, place,
        ) + name
        for name, method, crc, packed, size, place in entries
    )  # fmt: skip
