"""Where the float32 model and the exact integers part ways, and the line that says so (`ares.witness_float32`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Parting:
    """The first causes in one tensor: where float32 and the exact integers part ways, although their inputs agree.

    `ties` are explained. `index`, `exact`, `float32` (codes; values of real outputs), `real` (float64's, in codes),
    `distance` and `allowed` (in codes) are those of the worst element. `why`: what is wrong
    with it, "" where that is the distance.
    """

    tensor: str
    ties: int
    unexplained: int
    index: tuple[int, ...]
    exact: float
    float32: float
    real: float
    distance: float
    allowed: float
    why: str = ""

    def __str__(self) -> str:
        """What is wrong with the worst element."""
        beyond = (
            f"{self.distance:.3g} beyond the tie, float32's rounding explains {self.allowed:.3g}"
        )
        return (
            f"worst of {self.unexplained} elements at {list(self.index)}: float32 {self.float32:g}, "
            f"exact {self.exact:g}, the model means {self.real:.9g}: {self.why or beyond}"
        )

    def as_json(self) -> dict[str, Any]:
        """As plain values; what has no bound has none."""
        return {
            "tensor": self.tensor,
            "ties": self.ties,
            "unexplained": self.unexplained,
            "distance": _finite(self.distance),
            "allowed": _finite(self.allowed),
        }


@dataclass(frozen=True, slots=True)
class Float32Run:
    """`differing` of so many last `codes` are others than the float32 model's own; `partings` in order of execution."""

    codes: int
    differing: int
    partings: tuple[Parting, ...]

    @property
    def ties(self) -> int:
        return sum(parting.ties for parting in self.partings)

    @property
    def unexplained(self) -> int:
        return sum(parting.unexplained for parting in self.partings)

    @property
    def layers(self) -> int:
        """In how many tensors the ties lie."""
        return len({parting.tensor for parting in self.partings if parting.ties})

    def __str__(self) -> str:
        whole = f"{self.differing} of {self.codes} codes differ from the float32 run"
        if not self.partings:
            return whole
        ties = f"{self.ties} {'tie' if self.ties == 1 else 'ties'}"
        layers = f"{self.layers} {'layer' if self.layers == 1 else 'layers'}"
        said = f"{ties} in {layers}"
        if self.differing:
            said = f"all stem from {said}" if not self.unexplained else said
        return f"{whole}; {said}; {self.unexplained or 'none'} unexplained"

    def as_json(self) -> dict[str, Any]:
        return {
            "codes": self.codes,
            "differing": self.differing,
            "ties": self.ties,
            "layers": self.layers,
            "unexplained": self.unexplained,
            "partings": [parting.as_json() for parting in self.partings],
        }


def together(runs: Sequence[Float32Run]) -> Float32Run:
    """Those of several cases; `index[0]` of a parting becomes the number of its case."""
    found: dict[str, Parting] = {}
    for number, run in enumerate(runs):
        for parting in run.partings:
            placed = replace(parting, index=(number, *parting.index[1:]))
            found[parting.tensor] = merged(found.get(parting.tensor), placed)
    return Float32Run(
        sum(run.codes for run in runs),
        sum(run.differing for run in runs),
        tuple(found.values()),
    )


def merged(one: Parting | None, other: Parting) -> Parting:
    """The first causes of both, which are in the same tensor."""
    if one is None:
        return other
    worst = max((one, other), key=lambda parting: parting.distance - parting.allowed)
    return replace(
        worst, ties=one.ties + other.ties, unexplained=one.unexplained + other.unexplained
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
