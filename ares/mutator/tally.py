"""What a campaign found, in numbers and in words; the figures of its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ares.mutator.c_killing import GOLDENS
from ares.mutator.mutant import Language, Mutant
from ares.mutator.outcome import Outcome

Result = tuple[Mutant, Outcome]


@dataclass(frozen=True, slots=True)
class Tally:
    """The results of one language. `claimed`: drawn, and claimed equivalent; `there`: all that there are."""

    language: Language
    there: int
    claimed: Sequence[str]
    results: list[Result] = field(default_factory=list)

    def having(self, state: str) -> list[Result]:
        """The results of a state."""
        return [each for each in self.results if each[1].state == state]

    @property
    def tried(self) -> int:
        """Mutants that something could tell from what they were made of."""
        return len(self.having("killed")) + len(self.having("survived"))

    @property
    def killed_share(self) -> float:
        """Killed, of those that are not equivalent; 1 of none."""
        return len(self.having("killed")) / self.tried if self.tried else 1.0

    @property
    def goldens_share(self) -> float:
        """The same for goldens and suites alone: what no other step had to see."""
        seen = sum(outcome.step in GOLDENS for _, outcome in self.having("killed"))
        return seen / self.tried if self.tried else 1.0

    def steps(self) -> Mapping[str, int]:
        """Step -> mutants that it killed, the most first."""
        return dict(Counter(outcome.step for _, outcome in self.having("killed")).most_common())

    def lines(self) -> list[str]:
        """What a person reads."""
        states = Counter(outcome.state for _, outcome in self.results)
        steps = ", ".join(f"{step} {count}" for step, count in self.steps().items()) or "none"
        other = [f"{states[s]} {s}" for s in ("equivalent", "invalid", "not run") if states[s]]
        name = "C" if self.language == "c" else "Python"
        shares = f"{100 * self.killed_share:.1f} %"
        if self.language == "c":
            shares += f", by goldens and suites alone {100 * self.goldens_share:.1f} %"
        seconds = sum(outcome.seconds for _, outcome in self.results)
        each = seconds / len(self.results) if self.results else 0.0
        return [
            f"{name}: {states['killed']} of {self.tried} killed ({shares}); by {steps}",
            f"  {len(self.results) + len(self.claimed)} drawn of {self.there}"
            + "".join(f", {words}" for words in other)
            + (f", {len(self.claimed)} claimed equivalent" if self.claimed else "")
            + f"; {each:.1f} s a mutant",
        ]

    def survivors(self) -> list[str]:
        """Each survivor: where it is, what it is, and how it is seen again."""
        found = []
        for mutant, _ in self.having("survived"):
            before, after = mutant.shown()
            place = f"{mutant.file}:{mutant.line} in {mutant.place.function}"
            found.append(
                f"survived: {place}\n  - {before}\n  + {after}\n"
                f"  again: ares mutate --mutant '{mutant.name}'"
            )
        return found

    def _killed_by(self) -> dict[str, list[str]]:
        """Step and what saw them -> names: the evidence that later runs can ask for again."""
        found: dict[str, list[str]] = {}
        for mutant, outcome in self.having("killed"):
            by = outcome.by if outcome.step != "tests" else outcome.by.partition("::")[0]
            found.setdefault(f"{outcome.step} {by}".strip(), []).append(mutant.name)
        return {step: sorted(names) for step, names in sorted(found.items())}

    def figures(self, reasons: Mapping[str, str]) -> dict[str, Any]:
        """What is recorded."""
        states = Counter(outcome.state for _, outcome in self.results)
        seconds = sum(outcome.seconds for _, outcome in self.results)
        return {
            "mutants": self.there,
            "drawn": len(self.results) + len(self.claimed),
            **{state: states[state] for state in ("killed", "survived", "equivalent", "invalid")},
            "not_run": states["not run"],
            "claimed": len(self.claimed),
            "killed_share": round(self.killed_share, 4),
            **({"goldens_share": round(self.goldens_share, 4)} if self.language == "c" else {}),
            "by_step": self.steps(),
            "seconds_each": round(seconds / max(1, len(self.results)), 2),
            "killed_by": self._killed_by(),
            "survivors": [_entry(mutant) for mutant, _ in self.having("survived")],
            "claims": {name: reasons[name] for name in self.claimed},
        }


def _entry(mutant: Mutant) -> dict[str, Any]:
    before, after = mutant.shown()
    return {"mutant": mutant.name, "line": mutant.line, "before": before, "after": after}
