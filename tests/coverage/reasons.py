"""Why a condition is not met, line by line (reasons.toml), and whether each reason still speaks of something."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.coverage.outcomes import Condition, line_of, text_of

REASONS = Path(__file__).with_name("reasons.toml")


@dataclass(frozen=True, slots=True)
class Reason:
    """Of the lines of a file that read so, and begin an unmet condition: why it is not met.

    `lacks`: what is excused, in the words of `outcomes`, with the text of the condition before it.
    """

    file: str
    line: str
    lacks: tuple[str, ...]
    why: str


def read_reasons(path: Path = REASONS) -> tuple[Reason, ...]:
    """All of the file; raises ValueError for one that says nothing or is there twice."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("reason", [])
    reasons = tuple(
        Reason(entry["file"], entry["line"], tuple(entry["lacks"]), entry["why"].strip())
        for entry in entries
    )
    places = [(reason.file, reason.line) for reason in reasons]
    for reason, place in zip(reasons, places, strict=True):
        if not reason.why or not reason.lacks or places.count(place) > 1:
            raise ValueError(f"{path}: {place} has no reason, or several")
    return reasons


def gone(reasons: Iterable[Reason], root: Path) -> list[str]:
    """Reasons whose line the sources do not have (any more)."""
    told = []
    for reason in reasons:
        path = root / reason.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = {line.rstrip("\\").strip() for line in text.splitlines()}
        if reason.line not in lines:
            told.append(
                f"{reason.file}: there is no line {reason.line!r}: its reason is out of date"
            )
    return told


def lacking(condition: Condition, root: Path) -> tuple[str, ...]:
    """What a condition lacks, with its text."""
    text = text_of(condition, root) if condition.lacks else ""
    return tuple(f"{text}: {words}" for words in condition.lacks)


def judge(
    conditions: Iterable[Condition], reasons: Iterable[Reason], root: Path
) -> tuple[list[str], list[str]]:
    """Faults, a line each: what is not met without a reason; reasons of what is met."""
    by_place = {(reason.file, reason.line): reason for reason in reasons}
    used: dict[tuple[str, str], set[str]] = {}
    unmet = []
    for condition in conditions:
        lacks = lacking(condition, root)
        if not lacks:
            continue
        place = (condition.file, line_of(condition, root))
        reason = by_place.get(place)
        excused = () if reason is None else reason.lacks
        used.setdefault(place, set()).update(lacks)
        unmet += [
            f"{condition.file}:{condition.span[0]}: {words}"
            for words in lacks
            if words not in excused
        ]
    idle = [
        f"{reason.file}: {reason.line!r}: {words}: it is met, and needs no reason"
        for reason in by_place.values()
        for words in reason.lacks
        if words not in used.get((reason.file, reason.line), set())
    ]
    return unmet, idle
