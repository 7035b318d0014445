"""What a set of proofs comes to: alarms beside those that are accepted, and code that no proof has reached."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from tests.proof.catalogue import HERE, ROOT, Proof, proofs, read_table, sources
from tests.proof.eva import Alarm, Found, Statement


@dataclass(frozen=True, slots=True)
class Accepted:
    """A row of accepted.toml."""

    file: str
    function: str
    kind: str
    text: str
    reason: str

    def covers(self, alarm: Alarm) -> bool:
        """Whether it is this alarm."""
        mine = (self.file, self.function, self.kind)
        return mine == (alarm.file, alarm.function, alarm.kind) and self.text in alarm.text


@cache
def accepted() -> tuple[Accepted, ...]:
    """All rows."""
    read = tomllib.loads((HERE / "accepted.toml").read_text(encoding="utf-8"))
    return tuple(Accepted(**row) for row in read.get("alarm", ()))


def unaccepted(found: Found) -> list[Alarm]:
    """Alarms that no row covers."""
    return [alarm for alarm in found.alarms if not any(row.covers(alarm) for row in accepted())]


def gone(all_found: Iterable[Found]) -> list[Accepted]:
    """Rows that cover no alarm of a whole run."""
    alarms = {alarm for found in all_found for alarm in found.alarms}
    return [row for row in accepted() if not any(row.covers(alarm) for alarm in alarms)]


def is_vacuous(found: Found) -> bool:
    """Whether the harness never came to its end: a range or a geometry was empty, and nothing is shown."""
    last = max(
        (s for s in (*found.reached, *found.unreached) if s.file == "harness.c"),
        key=lambda s: s.line,
    )
    return last not in found.reached


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of a file: its statements, how many of them some proof reached, and functions with the lines of the others."""

    statements: int
    reached: int
    missed: Mapping[str, tuple[int, ...]]
    entered: frozenset[str]

    @property
    def percent(self) -> float:
        """Of the statements."""
        return 100.0 * self.reached / self.statements


def coverage(found: Iterable[Found]) -> Mapping[str, Coverage]:
    """By file of the runtime, over all proofs together."""
    reached: set[Statement] = set()
    known: set[Statement] = set()
    for one in found:
        reached |= one.reached
        known |= one.reached | one.unreached
    by_file: dict[str, set[Statement]] = {}
    for statement in known:
        if statement.file.startswith("runtime/"):
            by_file.setdefault(statement.file, set()).add(statement)
    return {
        file: Coverage(
            len(all_of_it),
            len(all_of_it & reached),
            _missed(all_of_it - reached),
            frozenset(statement.function for statement in all_of_it & reached),
        )
        for file, all_of_it in sorted(by_file.items())
    }


def _missed(statements: Iterable[Statement]) -> Mapping[str, tuple[int, ...]]:
    lines: dict[str, set[int]] = {}
    for statement in statements:
        lines.setdefault(statement.function, set()).add(statement.line)
    return {function: tuple(sorted(lines[function])) for function in sorted(lines)}


def unreached(covered: Mapping[str, Coverage]) -> Iterator[str]:
    """Functions that a whole run never entered and kernels.toml names no reason for: `file: function (lines)`."""
    reasons = read_table()["not_reached"]
    for file, function, lines in _never_entered(covered):
        if function not in reasons:
            yield f"{file}: {function} (line {', '.join(map(str, lines))})"


def reasons_without_need(covered: Mapping[str, Coverage]) -> list[str]:
    """Functions in [not_reached] that some proof entered, wherever there is one of that name."""
    needed = {function for _, function, _ in _never_entered(covered)}
    return [name for name in read_table()["not_reached"] if name not in needed]


def _never_entered(covered: Mapping[str, Coverage]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    for file, row in covered.items():
        for function, lines in row.missed.items():
            if function not in row.entered:
                yield file, function, lines


def files_without_proof() -> list[str]:
    """Files of runtime/src that no kernel of the table has and [not_read] does not name."""
    used = {f"{stem}.c" for proof in proofs() for stem in sources(proof)}
    there = {path.name for path in (ROOT / "runtime/src").glob("*.c")}
    return sorted(there - used - read_table()["not_read"].keys())


def by_kernel(done: Mapping[Proof, Found]) -> Mapping[str, Sequence[Found]]:
    """In the order of the table."""
    rows: dict[str, list[Found]] = {}
    for proof, found in done.items():
        rows.setdefault(proof.kernel, []).append(found)
    return rows
