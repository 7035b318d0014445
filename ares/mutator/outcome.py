"""What became of a mutant, and how it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["killed", "survived", "equivalent", "invalid", "not run"]
"""`equivalent`: the same object, the same bytecode. `invalid`: no compiler takes it, or it cannot be read.
`not run`: no way to try it on this machine."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`step`: which of the killers saw it; `by`: the suite, program or test; `words`: what that said, in a line.

    `seconds`: what it took, on one core. `rests_on`: what it would have to be found out anew without (`kept`).
    """

    state: State
    step: str = ""
    by: str = ""
    words: str = ""
    seconds: float = 0.0
    rests_on: tuple[str, ...] = ()

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), sort_keys=True)


def outcome_from_json(text: str) -> Outcome:
    """The inverse of `to_json`; raises ValueError, TypeError, KeyError."""
    facts: Mapping[str, Any] = json.loads(text)
    return Outcome(**{**facts, "rests_on": tuple(facts["rests_on"])})


def first_line(text: str, most: int = 200) -> str:
    """The first line with words, not too long."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return lines[0][:most] if lines else ""
