"""`docs/numerics.md` is in force: its clauses are cited everywhere, and what they name exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COUNT = 18
FACTS = ("Limits", "Python", "C", "Tests", "Awkward")


def _clauses() -> dict[str, str]:
    """`N3` -> its section."""
    text = (ROOT / "docs" / "numerics.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (N\d+) .*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


CLAUSES = _clauses()


def _facts(clause: str) -> dict[str, str]:
    """`Python` -> the text of that line."""
    found = re.findall(r"^- (\w+): (.*(?:\n  .*)*)", CLAUSES[clause], flags=re.MULTILINE)
    assert tuple(name for name, _ in found) == FACTS, (
        f"{clause} states {[name for name, _ in found]}"
    )
    return dict(found)


def _cited(pattern: str) -> set[str]:
    """All clause numbers that appear in the files of a glob pattern."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob(pattern)))
    return set(re.findall(r"(?<![\w/])N\d+\b", text))


def test_clauses_are_numbered_in_order() -> None:
    assert list(CLAUSES) == [f"N{number}" for number in range(1, COUNT + 1)]


@pytest.mark.parametrize(
    "pattern", ["ares/numerics/*.py", "runtime/inc/*.h", "tests/numerics/test_*.py"]
)
def test_every_clause_is_cited(pattern: str) -> None:
    # N9 has no function of its own in ares.numerics: Python's side is the operation.
    cited = _cited(pattern) | (_cited("ares/ops/*.py") if pattern.startswith("ares") else set())
    assert set(CLAUSES) <= cited


@pytest.mark.parametrize("pattern", ["ares/**/*.py", "runtime/**/*.[ch]", "tests/**/*.py"])
def test_no_clause_is_cited_that_is_not_there(pattern: str) -> None:
    assert _cited(pattern) - set(CLAUSES) == set()


@pytest.mark.parametrize("clause", CLAUSES)
def test_python_symbols_exist(clause: str) -> None:
    names = re.findall(r"`(ares\.[\w.]+)`", _facts(clause)["Python"])
    assert names
    for name in names:
        parts = name.split(".")
        depth = max(end for end in range(1, len(parts) + 1) if _is_module(".".join(parts[:end])))
        value: object = importlib.import_module(".".join(parts[:depth]))
        for attribute in parts[depth:]:
            value = getattr(value, attribute)


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("clause", CLAUSES)
def test_c_symbols_exist(clause: str) -> None:
    facts = re.findall(r"((?:`\w+`,?\s+)+)in `(runtime/inc/\w+\.h)`", _facts(clause)["C"])
    assert facts
    for symbols, header in facts:
        text = (ROOT / header).read_text(encoding="utf-8")
        for symbol in re.findall(r"\w+", symbols):
            defined = re.search(rf"\b{symbol}\b *[();]", text)
            assert defined, f"{header} defines no {symbol}"


@pytest.mark.parametrize("clause", CLAUSES)
def test_tests_exist_and_cite_their_clause(clause: str) -> None:
    paths = re.findall(r"`(tests/\w+/test_\w+\.py)`", _facts(clause)["Tests"])
    assert paths
    missing = [path for path in paths if not (ROOT / path).is_file()]
    assert not missing
    subject = [path for path in paths if path != "tests/numerics/test_vectors.py"]
    assert any(
        re.search(rf"\b{clause}\b", (ROOT / path).read_text(encoding="utf-8")) for path in subject
    )
