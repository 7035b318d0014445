"""A folder for a symptom: the recipe, what was found, and the C that repeats it without ARES.

`recipe.json` is what `ares.fuzzer.recipe.Recipe.from_json` reads, `reduced.json` the smallest recipe found with the
same symptom; `finding.txt` says what is wrong and how to see it again. Where a compiled program shows it, `c/` holds
the project of the reduced one, its inputs, the expected integers and `reproduce.sh`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ares.files import write_folder
from ares.fuzzer.findings import Finding, command
from ares.fuzzer.judging import DrawnSubject, judge
from ares.fuzzer.recipe import Recipe
from ares.fuzzer.reducing import reduce
from ares.toolchain import select
from ares.verifier.reproduction import reproduction_of
from ares.verifier.verification import verify

_UNSAFE = re.compile(r"[^a-z0-9]+")
_LONGEST = 60
_SECONDS_TO_REDUCE = 60.0


def folder_name(finding: Finding) -> str:
    """A symptom as the name of a folder."""
    words = _UNSAFE.sub("-", finding.symptom.lower()).strip("-")[:_LONGEST].rstrip("-")
    return f"{words}-seed-{finding.seed}"


def keep(finding: Finding, targets: Sequence[str], folder: Path, recipe: Recipe) -> Path:
    """Write the folder of a finding, whole or not at all. Raises OSError, FileExistsError where it is there."""
    files = dict(_files(finding, targets, recipe))
    scripts = {name for name in files if name.endswith("reproduce.sh")}
    place = folder / folder_name(finding)
    write_folder(place, files, executable=scripts)
    return place


def _files(finding: Finding, targets: Sequence[str], recipe: Recipe) -> Iterator[tuple[str, bytes]]:
    again = command(finding.seed, finding.target or " --target ".join(targets))
    text = f"{finding.symptom}\nto repeat it: {again}\n\n{finding.message}\n"
    yield "finding.txt", text.encode()
    yield "recipe.json", _as_file(recipe)
    small = _reduced(finding, targets, recipe)
    if small is not None:
        yield "reduced.json", _as_file(small)
    for name, content in _program(finding, targets, small or recipe):
        yield f"c/{name}", content


def _as_file(recipe: Recipe) -> bytes:
    return (json.dumps(recipe.as_json(), indent=1) + "\n").encode()


def _reduced(finding: Finding, targets: Sequence[str], recipe: Recipe) -> Recipe | None:
    """The smallest recipe with the symptom; None where the worker that met it cannot be asked again, or had no luck."""
    if finding.stage == "worker":
        return None
    chosen = select([finding.target] if finding.target else list(targets))

    def fails(candidate: Recipe) -> str | None:
        found = judge(candidate, chosen).finding
        return None if found is None else found.symptom

    try:
        return reduce(recipe, fails, seconds=_SECONDS_TO_REDUCE).recipe
    except ValueError:
        return (
            None  # it does not show itself every time: the recipe as it was drawn is all there is
        )


def _program(
    finding: Finding, targets: Sequence[str], recipe: Recipe
) -> Sequence[tuple[str, bytes]]:
    """What repeats it without ARES; nothing where no program shows it."""
    if finding.stage not in ("c", "torch"):
        return ()
    subject = DrawnSubject(recipe, lambda target: command(recipe.seed, target))
    names = [finding.target] if finding.target else list(targets)
    result = verify(subject, select(names), 1, lambda _event: None)
    found = reproduction_of(subject, result)
    return () if found is None else tuple(found.files.items())
