"""What llvm-cov says of a build's conditions, joined over builds: which of their values were met, which decided alone.

A condition lies in a file at a span; a function inlined into several files, or built for several processors, is one
condition. It is covered where some build met both of its values and, in a decision of several conditions, some build
has shown that it decides alone (MC/DC): a pair of runs of one function, which no joining makes up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

TRUE, FALSE, ALONE = "never true", "never false", "never decides alone"

Span = tuple[int, int, int, int]
"""First line and column, last line and column (behind the end), from 1."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether it was true and false somewhere, and decided alone; `alone` is None outside of larger decisions."""

    file: str
    span: Span
    true: bool
    false: bool
    alone: bool | None

    @property
    def lacks(self) -> tuple[str, ...]:
        """What was not met."""
        told = ((self.true, TRUE), (self.false, FALSE), (self.alone is not False, ALONE))
        return tuple(words for met, words in told if not met)

    def joined(self, other: Condition) -> Condition:
        alone = other.alone if self.alone is None else self.alone or bool(other.alone)
        return replace(
            self, true=self.true or other.true, false=self.false or other.false, alone=alone
        )


Conditions = Mapping[tuple[str, Span], Condition]


def conditions_of(export: str) -> Conditions:
    """Those of the JSON that `llvm-cov export` writes, by file and span."""
    found: list[Condition] = []
    for function in json.loads(export)["data"][0]["functions"]:
        found += _of_function(function)
    return join(found)


def join(conditions: Iterable[Condition]) -> Conditions:
    """The same condition of several builds as one."""
    joined: dict[tuple[str, Span], Condition] = {}
    for one in conditions:
        key = (one.file, one.span)
        joined[key] = joined[key].joined(one) if key in joined else one
    return joined


def _of_function(function: Mapping[str, Any]) -> list[Condition]:
    files = function["filenames"]
    alone = _decided(function)
    made = []
    for *where, true, false, file, _, _ in function["branches"]:
        span = (where[0], where[1], where[2], where[3])
        place = (files[file], span)
        made.append(Condition(*place, true > 0, false > 0, alone.get(place)))
    return made


def _decided(function: Mapping[str, Any]) -> Mapping[tuple[str, Span], bool]:
    """Of each condition of a decision whether it was shown to decide alone.

    A decision tells its conditions in the order of the source, without their places. Those of a macro or of a nested
    function come once for each expansion, at the same places. One whose conditions the compiler knows has no parts.
    """
    files = function["filenames"]
    parts = sorted(
        {(tuple(row[:4]), files[row[6]]) for row in function["branches"] if row[8] == _PART}
    )
    decided: dict[tuple[str, Span], bool] = {}
    for *where, _, _, shown in function["mcdc_records"]:
        first, last = (where[0], where[1]), (where[2], where[3])
        inside = [(file, at) for at, file in parts if first <= at[:2] and at[2:] <= last]
        if inside and len(inside) != len(shown):
            raise ValueError(
                f"{function['name']}: {len(shown)} conditions at {first}, {inside} told"
            )
        for part, is_shown in zip(inside, shown, strict=False):
            decided[part] = decided.get(part, False) or is_shown
    return decided


_PART = 6  # llvm::coverage::CounterMappingRegion::MCDCBranchRegion


def text_of(condition: Condition, root: Path) -> str:
    """The condition's own text, on one line."""
    first, left, last, right = condition.span
    lines = (root / condition.file).read_text(encoding="utf-8").splitlines()[first - 1 : last]
    lines[-1] = lines[-1][: right - 1]
    lines[0] = lines[0][left - 1 :]
    return " ".join(" ".join(lines).split())


def line_of(condition: Condition, root: Path) -> str:
    """The line in which it begins, without what surrounds it."""
    lines = (root / condition.file).read_text(encoding="utf-8").splitlines()
    return lines[condition.span[0] - 1].rstrip("\\").strip()
