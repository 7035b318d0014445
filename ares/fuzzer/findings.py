"""What a graph was found to be: accepted, refused with a reason, or a finding with a symptom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    `symptom` is stable: stage, class of the exception or type of the layer, kind of the difference; no numbers and no
    names, so that findings of one fault share it. `message` is what a person reads; `layer` and `target` may be "".
    """

    seed: int
    symptom: str
    stage: str
    message: str
    layer: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """One recipe, judged. `refusal` is the reason where ARES refuses it cleanly (no numbers, no names), else "".

    `operations` are the types of the Graph's operations with their number; `layers` counts tensors compared, over cases
    and targets; `cells` are what it covers (`ares.fuzzer.coverage`). `seconds` by stage.
    """

    seed: int
    finding: Finding | None = None
    refusal: str = ""
    cases: int = 0
    layers: int = 0
    operations: Mapping[str, int] = field(default_factory=dict)
    cells: frozenset[str] = frozenset()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether there was a Graph, whatever was found out about it."""
        return not self.refusal


def of_batch(judged: Judged, seeds: Sequence[int], kind: str, how: str) -> Judged:
    """The same with a finding: seeds that failed together, and none of them alone."""
    first, last = min(seeds), max(seeds)
    text = (
        f"seeds {first} to {last} together: {how}\nnone of them alone: killed from outside, or out of memory, or what "
        f"one leaves behind for another\nto repeat it: ares fuzz --graphs {last - first + 1} --seed {first}"
    )
    return replace(judged, finding=Finding(first, f"worker: {kind} of a batch", "worker", text))


def command(seed: int, target: str = "") -> str:
    """What shows a seed again."""
    return f"ares fuzz --graphs 1 --seed {seed}" + (f" --target {target}" if target else "")
