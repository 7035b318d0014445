"""What there is to judge in a checkout: `tests/test_networks/<name>.py` with `golden/<name>/`, and `golden/ops_*/`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ares.golden.operations import operation_suites
from ares.verdict import STAGES, Stage


class UnknownNetwork(ValueError):
    """No such network in the zoo; the message names the nearest ones."""


@dataclass(frozen=True, slots=True)
class ZooPaths:
    """The file and the golden folder of one network."""

    name: str
    source: Path
    golden: Path


@dataclass(frozen=True)
class Zoo:
    """The networks and the suites of operations' cases in the checkout at `root`, as they were when first asked for."""

    root: Path

    @property
    def golden(self) -> Path:
        """The folder of all goldens."""
        return self.root / "golden"

    @property
    def sources(self) -> Path:
        """The folder of the networks' files."""
        return self.root / "tests" / "test_networks"

    @cached_property
    def networks(self) -> tuple[str, ...]:
        """All networks, by number, then by name."""
        stems = (path.stem for path in self.sources.glob("test_*.py"))
        return tuple(sorted(stems, key=network_order))

    @cached_property
    def suites(self) -> tuple[str, ...]:
        """The suites of the operations' unit cases, which run beside the networks."""
        return operation_suites(self.golden)

    @property
    def subjects(self) -> tuple[str, ...]:
        return (*self.networks, *self.suites)

    def is_suite(self, name: str) -> bool:
        return name in self.suites

    def stages(self, name: str) -> tuple[Stage, ...]:
        """The stages that a subject has before the C."""
        return tuple(stage for stage in STAGES if not (stage.of_model and self.is_suite(name)))

    def paths(self, name: str) -> ZooPaths:
        """Paths of a network by its name, as `subject` takes it; raises UnknownNetwork."""
        stem = _known(name, self.networks)
        return ZooPaths(stem, self.sources / f"{stem}.py", self.golden / stem)

    def subject(self, name: str) -> str:
        """A network or a suite by its name (with or without `.py`), or by what only its name begins with: `test_4` is
        test_4_resnet_basic. Raises UnknownNetwork.
        """
        return _known(name, self.subjects)

    def files(self, name: str) -> tuple[Path, ...]:
        """Every file that a subject is made from: its source, what it may import beside it, its golden."""
        golden = sorted(path for path in (self.golden / name).glob("*") if path.is_file())
        if self.is_suite(name):
            return tuple(golden)
        beside = [path for path in self.sources.glob("*.py") if not path.match("test_*.py")]
        return (self.paths(name).source, *sorted(beside), *golden)


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


def network_order(name: str) -> tuple[int, str]:
    """Sort key: the number in the name, then the name."""
    number = re.search(r"\d+", name)
    return (int(number.group()) if number else 10**6, name)
