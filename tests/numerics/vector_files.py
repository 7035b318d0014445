"""Reads `vectors/*.txt` for Python; `vector_check.c` does for C. The format: `make_vectors.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors"
Numbers = list[int]


def records(name: str) -> Iterator[tuple[str, Numbers]]:
    """(word, numbers) of every line."""
    for line in (FOLDER / name).read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            word, *numbers = line.split()
            yield word, [int(number, 0) for number in numbers]


def cases(name: str) -> Iterator[tuple[Numbers, list[tuple[str, Numbers]]]]:
    """The numbers of every `case` line, with the records that follow it."""
    current: tuple[Numbers, list[tuple[str, Numbers]]] | None = None
    for word, numbers in records(name):
        if word == "case":
            if current:
                yield current
            current = (numbers, [])
        else:
            assert current, f"{name}: a record before the first case"
            current[1].append((word, numbers))
    assert current, f"{name} has no case"
    yield current
