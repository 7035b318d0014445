"""Instructions of networks before a change and after it, by target: the record, and what it says in short."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = "ares-speed-1"


class SpeedError(ValueError):
    """A file that is no record of counts; one line."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions of one inference."""

    before: int
    after: int

    @property
    def ratio(self) -> float:
        """Above 1: slower than before."""
        return self.after / self.before


@dataclass(frozen=True, slots=True)
class Compared:
    """The networks on one target. `before` is the older checkout's commit, `after` the digest of the newer runtime."""

    target: str
    processor: str
    compiler: str
    machine: str
    before: str
    after: str
    networks: Mapping[str, Counts]

    @property
    def ratios(self) -> dict[str, float]:
        """Every network, the slowest first."""
        found = {name: counts.ratio for name, counts in self.networks.items()}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def median(self) -> float:
        return statistics.median(self.ratios.values())

    @property
    def slower(self) -> dict[str, float]:
        """The networks that take more instructions than before, the slowest first."""
        return {name: ratio for name, ratio in self.ratios.items() if ratio > 1}


def read_speed(text: str) -> tuple[Compared, ...]:
    """What `write_speed` wrote; raises SpeedError for anything else."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise SpeedError(f"its format is {content['format']!r}, expected {FORMAT!r}")
        return tuple(map(_compared, content["targets"]))
    except (LookupError, TypeError, ValueError) as error:
        raise SpeedError(f"no record of counts: {type(error).__name__}: {error}") from None


def write_speed(kept: tuple[Compared, ...], new: Compared) -> str:
    """A record with a target more, or with one measured again.

    Of a target that the same two runtimes were measured on, networks that were not measured again stay.
    """
    old = next((found for found in kept if found.target == new.target), None)
    others = [found for found in kept if found.target != new.target]
    networks = dict(new.networks)
    if old is not None and (old.before, old.after) == (new.before, new.after):
        networks = {**old.networks, **networks}
    facts = {**asdict(new), "networks": {n: asdict(c) for n, c in sorted(networks.items())}}
    targets = sorted([*map(asdict, others), facts], key=lambda found: str(found["target"]))
    return json.dumps({"format": FORMAT, "targets": targets}, indent=1) + "\n"


def _compared(facts: Mapping[str, Any]) -> Compared:
    networks = {name: Counts(**counts) for name, counts in facts["networks"].items()}
    if not networks or any(min(c.before, c.after) <= 0 for c in networks.values()):
        raise SpeedError(f"{facts['target']}: expected networks, each with counts above 0")
    return Compared(**{**facts, "networks": networks})
