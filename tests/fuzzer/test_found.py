"""What once showed a fault of ARES is judged again, on the default targets, and is as it should be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ares.fuzzer.batch import judge_batch
from ares.fuzzer.findings import Finding, Judged
from ares.fuzzer.found import FOLDER, Found, all_found, read_found
from ares.fuzzer.recipe import RecipeError
from ares.toolchain import default_targets
from tests.slow import slow_but
from tests.toolchain.tiny_network import usable

FILES = Path(__file__).parents[2] / FOLDER
TARGETS = [target.name for target in default_targets()]
# Where one library holds them all.
QUICK = [place for place, name in enumerate(TARGETS) if name.startswith("gcc-")]


@pytest.mark.parametrize("name", slow_but(QUICK, TARGETS))
def test_what_was_found_once_is_right_now(name: str) -> None:
    found = list(all_found(FILES))
    assert len(found) >= 21
    judged = judge_batch([each.recipe for each in found], [usable(name)])
    wrong = [each.why_not(now) for each, now in zip(found, judged, strict=True)]
    assert not [words for words in wrong if words is not None]
    assert sum(now.accepted for now in judged) > len(found) // 2


def test_what_became_of_it_is_told_apart() -> None:
    """A finding, a refusal where there was none, none where there was one, and one for another reason."""
    accepted = replace(next(all_found(FILES)), refused="")
    refused = replace(accepted, refused="Conv2d: its")
    finding = Judged(0, Finding(0, "c: difference: OP_ADD", "c", "an element differs"))
    assert accepted.why_not(Judged(0)) is None
    assert refused.why_not(Judged(0, refusal="Conv2d: its results")) is None
    for each, now, words in [
        (accepted, finding, "an element differs"),
        (refused, finding, "an element differs"),
        (accepted, Judged(0, refusal="Conv2d: its"), "expected: accepted"),
        (refused, Judged(0), "it is accepted"),
        (refused, Judged(0, refusal="Linear: its"), "expected 'Conv2d: its'"),
    ]:
        assert words in str(each.why_not(now))


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    for each in all_found(FILES):
        path = each.write(tmp_path)
        assert read_found(path) == each
        assert path.read_bytes() == (FILES / path.name).read_bytes()


@pytest.mark.parametrize("damage", ["{", '{"format": "other"}', "[]"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(damage)
    with pytest.raises(RecipeError, match=r"x\.json"):
        read_found(path)


def test_every_file_says_what_it_once_did() -> None:
    for path in FILES.iterdir():
        each: Found = read_found(path)
        assert each.once
        assert each.by
        assert json.loads(path.read_text())["date"] == each.date
