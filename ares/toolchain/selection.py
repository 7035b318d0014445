"""Which targets of the table are meant, by names and patterns, and which of them cannot be used here."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase

from ares.toolchain.faults import ToolchainError
from ares.toolchain.process import side_by_side
from ares.toolchain.target import Target
from ares.toolchain.targets import TARGETS


def default_targets() -> tuple[Target, ...]:
    """The targets of a run that names none, installed or not."""
    return tuple(target for target in TARGETS if target.default)


def missing_tools(targets: Sequence[Target]) -> dict[str, str | None]:
    """Why a target cannot be used, by name; compilers are tried side by side."""
    with side_by_side(os.cpu_count() or 1) as pool:
        reasons = pool.map(lambda target: target.missing(), targets)
        return dict(zip((target.name for target in targets), reasons, strict=True))


def _nearest(word: str, names: Sequence[str]) -> list[str]:
    """Names that begin with the word, else names that look like it."""
    begun = [name for name in names if word and name.startswith(word)]
    return begun[:3] or difflib.get_close_matches(word, names, n=3)


def select(globs: Sequence[str]) -> tuple[Target, ...]:
    """The targets whose names match any of the patterns, in the order of the table.

    Raises ToolchainError for a pattern that matches none.
    """
    chosen = names_matching(globs, [target.name for target in TARGETS])
    return tuple(target for target in TARGETS if target.name in chosen)


def names_matching(globs: Sequence[str], names: Sequence[str]) -> list[str]:
    """The names that match any of the patterns, in their order. ToolchainError where a pattern matches none."""
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            near = ", ".join(_nearest(glob, names)) or "none"
            raise ToolchainError(
                f"unknown target {glob!r}; nearest: {near} (ares targets lists all)"
            )
    return [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]
