"""A mutant: one place of one file written otherwise; its name, its text, and which of many are drawn.

A name says file, function, operator, the place among those of the same operator in the function, and a digest of the
function's text: the same mutant has the same name however its file goes on changing, and none when its function has.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["c", "python"]


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes `start` to `end` of a file, in a function; `written` in their place is what an operator makes of them."""

    operator: str
    function: str
    start: int
    end: int
    written: bytes


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with one place written otherwise. `file`: its path in the checkout; `text`: its bytes before."""

    language: Language
    file: str
    place: Place
    ordinal: int
    digest: str
    text: bytes

    @property
    def name(self) -> str:
        """What it is called wherever it is spoken of; made of characters that a shell leaves alone."""
        place = self.place
        return f"{self.file}:{place.function}:{place.operator}:{self.ordinal}:{self.digest}"

    @property
    def line(self) -> int:
        """The line of the place, from 1."""
        return self.text.count(b"\n", 0, self.place.start) + 1

    @property
    def mutated(self) -> bytes:
        """The file as it is tried."""
        place = self.place
        return self.text[: place.start] + place.written + self.text[place.end :]

    def shown(self) -> tuple[str, str]:
        """The line before and after, without what stands around it."""
        begin = self.text.rfind(b"\n", 0, self.place.start) + 1
        end = self.text.find(b"\n", self.place.end)
        end = len(self.text) if end < 0 else end
        before = self.text[begin:end]
        after = self.text[begin : self.place.start] + self.place.written
        after += self.text[self.place.end : end]
        return " ".join(before.decode().split()), " ".join(after.decode().split())


def named(
    language: Language,
    file: str,
    text: bytes,
    places: Iterable[Place],
    extent: Callable[[str], bytes],
) -> Iterator[Mutant]:
    """The mutants of a file. `extent`: the text of a function by its name; of the same text no two are made."""
    seen: set[tuple[int, int, bytes]] = set()
    count: Counter[tuple[str, str]] = Counter()
    for place in places:
        what = (place.start, place.end, place.written)
        if what in seen or text[place.start : place.end] == place.written:
            continue
        seen.add(what)
        key = (place.function, place.operator)
        digest = hashlib.sha256(extent(place.function)).hexdigest()[:8]
        yield Mutant(language, file, place, count[key], digest, text)
        count[key] += 1


def drawn(
    mutants: Sequence[Mutant], sample: int, seed: int, weight: Callable[[str], float]
) -> list[Mutant]:
    """So many of the mutants, from every file its share (at least one while there are enough), by the seed alone.

    The share of a file is that of its mutants, times `weight`. Which of a file's are taken depends on their names only.
    """
    by_file: defaultdict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        by_file[mutant.file].append(mutant)
    if sample >= len(mutants):
        return list(mutants)
    shares = {file: len(found) * weight(file) for file, found in by_file.items()}
    quota = _quotas(shares, {file: len(found) for file, found in by_file.items()}, sample, seed)
    chosen = {
        mutant.name
        for file, found in by_file.items()
        for mutant in sorted(found, key=lambda each: _lot(seed, each.name))[: quota[file]]
    }
    return [mutant for mutant in mutants if mutant.name in chosen]


def matching(files: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The files that one of the patterns names, by a glob, or by a part of the path; all without patterns."""
    return [
        file
        for file in files
        if not patterns or any(fnmatch.fnmatch(file, p) or p in file for p in patterns)
    ]


def _quotas(
    shares: dict[str, float], there: dict[str, int], sample: int, seed: int
) -> dict[str, int]:
    """Whole numbers that sum up to `sample`, by largest remainders; equal ones fall by lot."""
    total = sum(shares.values())
    exact = {file: sample * share / total for file, share in shares.items()}
    order = sorted(shares, key=lambda file: _lot(seed, file))
    quota = {file: min(int(exact[file]), there[file]) for file in shares}
    for least in (1, None):
        rest = sorted(order, key=lambda file: exact[file] - quota[file], reverse=True)
        while sum(quota.values()) < sample:
            takers = [f for f in rest if quota[f] < (least if least is not None else there[f])]
            if not takers:
                break
            for file in takers[: sample - sum(quota.values())]:
                quota[file] += 1
    return quota


def _lot(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
