"""Where the zoo lies: `tests/test_networks/<name>.py` and `golden/<name>/` of the checkout."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ares.golden.operations import operation_suites
from ares.resources import checkout_dir

ZOO_STAGES = ("check", "extract", "reference", "torch")
SUITE_STAGES = ("extract", "reference")


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


@cache
def suite_names() -> tuple[str, ...]:
    """The suites of the operations' unit cases, which run beside the networks."""
    return operation_suites(checkout_dir() / "golden")


def zoo_paths(name: str) -> ZooPaths:
    """Paths of a network by its name, as `subject_name` takes it; raises UnknownNetwork."""
    stem = _known(name, network_names())
    root = checkout_dir()
    return ZooPaths(stem, root / "tests" / "test_networks" / f"{stem}.py", root / "golden" / stem)


def subject_name(name: str) -> str:
    """A network or a suite by its name (with or without `.py`), or by what only its name begins with: `test_4` is
    test_4_resnet_basic. Raises UnknownNetwork.
    """
    return _known(name, (*network_names(), *suite_names()))


def _known(name: str, known: Sequence[str]) -> str:
    stem = name if name in known else name.removesuffix(".py")
    if stem in known:
        return stem
    begun = [each for each in known if stem and each.startswith(f"{stem}_")]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise UnknownNetwork(f"{stem!r} is the beginning of several: {', '.join(begun)}")
    near = difflib.get_close_matches(stem, known, n=3, cutoff=0.4)
    raise UnknownNetwork(
        f"no network named {stem!r}; nearest: {', '.join(near) or 'none'} (ares networks --list shows all)"
    )


def subject_files(name: str) -> tuple[Path, ...]:
    """Every file that a network or a suite is made from: its source, what it may import beside it, its golden."""
    golden = sorted(path for path in (checkout_dir() / "golden" / name).glob("*") if path.is_file())
    if name in suite_names():
        return tuple(golden)
    paths = zoo_paths(name)
    beside = [path for path in paths.source.parent.glob("*.py") if not path.match("test_*.py")]
    return (paths.source, *sorted(beside), *golden)


def network_order(name: str) -> tuple[int, str]:
    """Sort key: the number in the name, then the name."""
    number = re.search(r"\d+", name)
    return (int(number.group()) if number else 10**6, name)
