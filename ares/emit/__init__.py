"""Plan -> Project: a C project that stands alone. Byte-stable: the same Graph gives the same bytes."""

from ares.emit.project import emit, runtime_files

__all__ = ["emit", "runtime_files"]
