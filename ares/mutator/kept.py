"""What is kept of a campaign: outcomes, each with what it rests on, by content.

An outcome is asked for by its mutant (the whole text of the mutated file) and holds while everything that its
`rests_on` names is as it was: files and folders of the checkout, and what the killers name by a word (`subject ops_fm`:
the C and the golden of a suite; `way portable`: compiler and flags). Of a kill that is what saw it alone; of a survivor
all that was asked. Edits elsewhere leave it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ares.mutator.mutant import Mutant
from ares.mutator.outcome import Outcome, outcome_from_json
from ares.toolchain import open_cache

_KIND, _FILE = "mutant", "outcome.json"
_ENDS = ("crash", "time-out")


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Outcomes of one language. `steps`: those that are taken; `ways`: what the key holds beside the mutant.

    `digests`: first word of a name -> the digest of what its other words name.
    """

    root: Path
    steps: Sequence[str]
    ways: Sequence[str]
    digests: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict)

    def find(self, mutant: Mutant) -> Outcome | None:
        """The outcome that still holds."""
        path = open_cache().find(_KIND, self._key(mutant), _FILE)
        if path is None:
            return None
        with suppress(ValueError, TypeError, KeyError):
            entry = json.loads(path.read_text(encoding="utf-8"))
            outcome = outcome_from_json(entry["outcome"])
            if self._answers(outcome, entry["steps"]) and self._holds(entry["rests_on"]):
                return outcome
        return None

    def put(self, mutant: Mutant, outcome: Outcome) -> None:
        """Keep an outcome in place of an older one."""
        rests_on = {name: self.digest(name) for name in sorted(set(outcome.rests_on))}
        entry = {"outcome": outcome.to_json(), "steps": list(self.steps), "rests_on": rests_on}
        open_cache().put(_KIND, self._key(mutant), _FILE, json.dumps(entry).encode())

    def digest(self, name: str) -> str:
        """The content of what a name stands for, as it is when it is first asked for."""
        if name not in self._known:
            word, _, rest = name.partition(" ")
            found = self.digests[word](rest) if rest else content_of(self.root / name)
            self._known[name] = found
        return self._known[name]

    def _answers(self, outcome: Outcome, taken: Sequence[str]) -> bool:
        """Whether an outcome of the steps that were taken is one of those that are asked for."""
        if outcome.state == "killed":
            return outcome.step in (*self.steps, *_ENDS)
        return outcome.state != "survived" or set(self.steps) <= set(taken)

    def _holds(self, rests_on: Mapping[str, str]) -> bool:
        return all(self.digest(name) == digest for name, digest in rests_on.items())

    def _key(self, mutant: Mutant) -> str:
        facts = f"{mutant.file}\n{' '.join(self.ways)}\n".encode() + mutant.mutated
        return hashlib.sha256(facts).hexdigest()[:32]


def content_of(path: Path) -> str:
    """SHA-256 of a file, or over the files of a folder and their names; "" for what is not there."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not path.is_dir():
        return ""
    state = hashlib.sha256()
    for each in sorted(path.rglob("*")):
        if each.is_file() and "__pycache__" not in each.parts:
            state.update(f"{each.relative_to(path).as_posix()}\0".encode())
            state.update(hashlib.sha256(each.read_bytes()).digest())
    return state.hexdigest()
