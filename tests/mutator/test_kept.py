"""Which outcomes are kept, and until when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ares.mutator.kept import Kept
from ares.mutator.mutant import Mutant, Place
from ares.mutator.outcome import Outcome
from ares.toolchain.cache import VARIABLE

MUTANT = Mutant("c", "a.c", Place("test", "f", 0, 1, b"2"), 0, "0", b"1")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "beside.h").write_text("1")
    (tmp_path / "folder").mkdir()
    return tmp_path


def _kept(
    root: Path, steps: Sequence[str] = ("suites", "tests"), golden: str = "as it was"
) -> Kept:
    return Kept(root, steps, (), {"subject": lambda name: f"{name} {golden}"})


def _outcome(state: str, step: str = "") -> Outcome:
    rests_on = ("beside.h", "folder", "subject ops_fm")
    return Outcome(state, step, "by", "words", 1.5, rests_on)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["killed", "survived", "equivalent", "invalid"])
def test_it_holds_while_all_is_as_it_was(state: str, root: Path) -> None:
    outcome = _outcome(state, "suites" if state == "killed" else "")
    _kept(root).put(MUTANT, outcome)
    (root / "elsewhere.h").write_text("")
    assert _kept(root).find(MUTANT) == outcome


def test_it_goes_with_what_it_rests_on(root: Path) -> None:
    _kept(root).put(MUTANT, _outcome("killed", "suites"))
    assert _kept(root, golden="another").find(MUTANT) is None
    (root / "folder" / "more").write_text("")
    assert _kept(root).find(MUTANT) is None
    (root / "folder" / "more").unlink()
    assert _kept(root).find(MUTANT) is not None
    (root / "beside.h").write_text("2")
    assert _kept(root).find(MUTANT) is None


def test_it_is_of_this_mutant_alone(root: Path) -> None:
    _kept(root).put(MUTANT, _outcome("killed", "suites"))
    other = Mutant("c", "a.c", Place("test", "f", 0, 1, b"3"), 0, "0", b"1")
    assert _kept(root).find(other) is None
    assert Kept(root, ("suites",), ("portable",)).find(MUTANT) is None


def test_a_kill_answers_for_its_step_and_a_survivor_for_all(root: Path) -> None:
    _kept(root).put(MUTANT, _outcome("killed", "suites"))
    assert _kept(root, ("suites", "checks", "tests")).find(MUTANT) is not None
    assert _kept(root, ("tests",)).find(MUTANT) is None
    _kept(root).put(MUTANT, _outcome("survived"))
    assert _kept(root, ("tests",)).find(MUTANT) is not None
    assert _kept(root, ("suites", "checks", "tests")).find(MUTANT) is None
