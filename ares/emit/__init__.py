"""Plan -> Project: a C project that stands alone. Byte-stable: the same Graph gives the same bytes."""

from ares.emit.project import emit

__all__ = ["emit"]
