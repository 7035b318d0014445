"""Recipes that once showed a fault of ARES: `tests/fuzzer/found/<name>.json`, judged again at every test run.

A file holds the recipe, what it once did, and whether ARES accepts it or refuses it cleanly now. The fuzzer's own finds
are reduced before they are kept; others are written by hand after faults that were found otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ares.files import write_file
from ares.fuzzer.findings import Judged
from ares.fuzzer.recipe import Recipe, RecipeError

FORMAT = "ares-found-1"
FOLDER = "tests/fuzzer/found"


@dataclass(frozen=True, slots=True)
class Found:
    """A fault that was found. `once`: what ARES did, in a sentence; `by`: "ares fuzz", or who found it otherwise.

    `refused` is "" where the recipe is accepted now, else how the reason of the refusal begins (`Judged.refusal`).
    """

    name: str
    recipe: Recipe
    once: str
    by: str
    date: str
    refused: str = ""

    def why_not(self, judged: Judged) -> str | None:
        """What is wrong with what became of the recipe now; None where it is as it should be."""
        if judged.finding is not None:
            return f"{self.name}: {judged.finding.symptom}\n{judged.finding.message}"
        if bool(judged.refusal) != bool(self.refused):
            now = f"refused: {judged.refusal}" if judged.refusal else "accepted"
            due = f"refused: {self.refused}" if self.refused else "accepted"
            return f"{self.name}: it is {now}; expected: {due}"
        if not judged.refusal.startswith(self.refused):
            return f"{self.name}: refused for {judged.refusal!r}, expected {self.refused!r}"
        return None

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "format": FORMAT,
            "once": self.once,
            "by": self.by,
            "date": self.date,
            "refused": self.refused,
            "recipe": self.recipe.as_json(),
        }

    def write(self, folder: Path) -> Path:
        """Keep it in a folder, under its name."""
        path = folder / f"{self.name}.json"
        write_file(path, (json.dumps(self.as_json(), indent=1) + "\n").encode())
        return path


def read_found(path: Path) -> Found:
    """One file; raises RecipeError where it is none."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise RecipeError(f"{path}: format {facts['format']!r}, expected {FORMAT!r}")
        words = {key: str(facts[key]) for key in ("once", "by", "date", "refused")}
        return Found(path.stem, Recipe.from_json(facts["recipe"]), **words)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{path}: {type(error).__name__}: {error}") from error


def all_found(folder: Path) -> Iterator[Found]:
    """Every file of a folder, by name."""
    for path in sorted(folder.glob("*.json")):
        yield read_found(path)
