"""What was measured: records, and their JSON. Times are nanoseconds of the processor an inference, sizes bytes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = "ares-bench-1"


class BenchError(Exception):
    """Something cannot be measured; one line."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing: the best, the median, and between which values the middle half lies."""

    best: float
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least two values."""
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(min(values), statistics.median(values), low, high)


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer, or one stage of a composite. A copy before it that nobody observes is part of it."""

    layer: str
    op_type: str
    macs: int
    time: Spread | None
    instructions: int | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another runtime on the same topology, in turns with ours; `ratio` is our time by theirs, turn by turn.

    `call`: how long it takes over a model of one number, called in the same way, from Python: a part of `theirs`.
    `largest_difference`: of the outputs, in units of the coarsest step of the other's, for the integers need not agree.
    """

    runtime: str
    version: str
    ours: Spread
    theirs: Spread
    ratio: Spread
    call: float
    largest_difference: float


@dataclass(frozen=True, slots=True)
class Cost:
    """One network on one target.

    `without`: why figures are absent, by their names as messages have them. `stack` is the whole program's, main and
    bench included; `machine` what ran it, to the version; `arena_bound` is the least that any plan could do with.
    """

    network: str
    target: str
    processor: str
    machine: str
    compiler: str
    macs: int
    time: Spread | None
    instructions: int | None
    layers: tuple[LayerCost, ...]
    code: int | None
    constants: int | None
    arena: int
    arena_bound: int
    stack: int | None
    without: Mapping[str, str]
    against: tuple[Comparison, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Of plain types."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Cost:
        """What `as_json` wrote; raises LookupError or TypeError for anything else."""
        layers = [
            LayerCost(**{**layer, "time": _spread(layer["time"])}) for layer in facts["layers"]
        ]
        against = [
            Comparison(
                **{**found, **{name: Spread(**found[name]) for name in ("ours", "theirs", "ratio")}}
            )
            for found in facts["against"]
        ]
        own = {"time": _spread(facts["time"]), "layers": tuple(layers), "against": tuple(against)}
        return cls(**{**facts, **own})


def _spread(facts: Mapping[str, float] | None) -> Spread | None:
    return None if facts is None else Spread(**facts)
