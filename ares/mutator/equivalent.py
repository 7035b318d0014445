"""Mutants that are claimed to mean the same as what they were made of, each with its reason.

A name holds a digest of the function's text: a claim is about the function as it was when somebody looked at it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

FILE = "ares/mutator/equivalent.toml"


class ClaimsError(ValueError):
    """The file of claims cannot be read; one line."""


def claims(root: Path) -> Mapping[str, str]:
    """Name of a mutant -> why nothing can tell it from what it was made of."""
    path = root / FILE
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClaimsError(f"{path}: {error}") from None
    claimed: dict[str, str] = {}
    for entry in found.get("claim", ()):
        reason = entry.get("reason")
        names = entry.get("mutants", ())
        if not isinstance(reason, str) or not reason.strip() or not names:
            raise ClaimsError(f"{path}: a claim has no reason, or no mutants: {entry}")
        claimed.update(dict.fromkeys(names, " ".join(reason.split())))
    return claimed


def stale(claimed: Mapping[str, str], names: Iterable[str], files: Iterable[str]) -> list[str]:
    """The claims about mutants of these files that no longer exist."""
    known, read = set(names), set(files)
    return [name for name in claimed if name.partition(":")[0] in read and name not in known]
