"""Plan -> Project: a C project that stands alone. Byte-stable: the same Graph gives the same bytes."""

from ares.emit.project import emit, runtime_files
from ares.emit.selftest import EXPECTED, Vector

__all__ = ["EXPECTED", "Vector", "emit", "runtime_files"]
