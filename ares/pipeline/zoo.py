"""Where the zoo lies: `tests/test_networks/<name>.py` and `golden/<name>/` of the checkout."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path

from ares.resources import checkout_dir


class UnknownNetwork(ValueError):
    """No such network in the zoo; the message names the nearest ones."""


@dataclass(frozen=True, slots=True)
class ZooPaths:
    """The file and the golden folder of one network."""

    name: str
    source: Path
    golden: Path


def network_names() -> tuple[str, ...]:
    """All networks of the zoo, by number, then by name."""
    folder = checkout_dir() / "tests" / "test_networks"
    return tuple(sorted((path.stem for path in folder.glob("test_*.py")), key=network_order))


def zoo_paths(name: str) -> ZooPaths:
    """Paths of a network by its name (with or without `.py`)."""
    stem = name.removesuffix(".py")
    names = network_names()
    if stem not in names:
        near = difflib.get_close_matches(stem, names, n=3, cutoff=0.4)
        raise UnknownNetwork(
            f"no network named {stem!r}; nearest: {', '.join(near) or 'none'} "
            "(ares networks --list shows all)"
        )
    root = checkout_dir()
    return ZooPaths(stem, root / "tests" / "test_networks" / f"{stem}.py", root / "golden" / stem)


def network_order(name: str) -> tuple[int, str]:
    """Sort key: the number in the name, then the name."""
    number = re.search(r"\d+", name)
    return (int(number.group()) if number else 10**6, name)
