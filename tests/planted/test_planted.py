"""Every planted fault is seen, by the stage and with the layer that its row says; `python -m tests.planted --record`
runs all of them, and asks three other methods too.

A sample on subjects that cost little is ordinary, the others are slow. All places of all faults are looked up each
time: a place that is gone is an error at once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest

from ares.resources import checkout_dir, runtime_dir
from ares.verdict import Outcome
from tests.planted import harness
from tests.planted.faults import Change, Fault, InC, InHarness
from tests.planted.pitfalls import ROWS
from tests.planted.planting import NOBODY, is_right, judge, replaced, rivals_of_right
from tests.planted.preparing import Prepared, prepared, subjects
from tests.planted.registry import ESCAPES, FAULTS
from tests.slow import slow_but
from tests.toolchain.tiny_network import portable_target

Subjects = Callable[[str], Prepared]
# Of these, whose models are small, one in so many is ordinary.
CHEAP = ("coarse", "probe", "residual", "series")
ONE_IN = 5
LEAST = 200


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Subjects:
    """Subjects without a fault, made once."""
    folder = tmp_path_factory.mktemp("planted")
    return cache(lambda name: prepared(name, portable_target(), folder))


def _rows() -> list[object]:
    cheap = [fault.id for fault in FAULTS if fault.subject in CHEAP][::ONE_IN]
    return [
        pytest.param(fault, id=fault.id, marks=() if fault.id in cheap else pytest.mark.slow)
        for fault in FAULTS
    ]


@pytest.mark.parametrize("fault", _rows())
def test_fault(right: Subjects, fault: Fault) -> None:
    verdict = judge(fault, right(fault.subject))
    said = f"{verdict.stage} {verdict.outcome} {verdict.fault} {verdict.layer}\n{verdict.message}"
    wanted = f"{fault.seen_by} must say {fault.fault} at {fault.layer!r}: {fault.what}"
    assert is_right(fault, verdict), f"{wanted}\n{said}"


@pytest.mark.slow
@pytest.mark.parametrize("fault", ESCAPES, ids=[fault.id for fault in ESCAPES])
def test_escapes_still_escape(right: Subjects, fault: Fault) -> None:
    """What is said not to be seen; once it is, its row belongs to the others."""
    verdict = judge(fault, right(fault.subject))
    assert verdict.outcome is Outcome.PASS, verdict.message


@pytest.mark.parametrize("name", slow_but(map(subjects().index, CHEAP), subjects()))
def test_other_methods_accept_what_is_right(right: Subjects, name: str) -> None:
    """Else what they see of faults would say nothing."""
    assert rivals_of_right(right(name)) == NOBODY


# --- the rows


def test_places_are_there() -> None:
    """Each text that is replaced stands in its file, as often as its row says: without building anything."""
    wrong = []
    for fault in FAULTS:
        content: dict[str, bytes] = {}
        for change in fault.changes:
            path = runtime_dir() / change.file.removeprefix("runtime/")
            try:
                before = content.setdefault(change.file, path.read_bytes())
                content[change.file] = replaced(before, change)
            except (LookupError, OSError) as error:
                wrong.append(f"{fault.id}: {error}")
    assert not wrong, "\n".join(wrong)


def test_a_place_that_is_gone_is_an_error() -> None:
    with pytest.raises(LookupError, match="'int gone;' 0 times, not 1"):
        replaced(b"int here;", Change("a.c", "int gone;", "int other;"))
    with pytest.raises(LookupError, match="2 times, not 1"):
        replaced(b"int a; int a;", Change("a.c", "int a;", "int b;"))


def test_rows_are_told_apart() -> None:
    names = Counter(fault.id for fault in (*FAULTS, *ESCAPES))
    twice = [name for name, count in names.items() if count > 1]
    assert not twice
    same = Counter((fault.subject, fault.plant) for fault in FAULTS if isinstance(fault.plant, InC))
    assert max(same.values()) == 1
    assert {fault.subject for fault in FAULTS} == {*subjects()}
    for fault in FAULTS:
        assert re.fullmatch(r"[a-z-]+/[a-z0-9-]+", fault.id), fault.id
        if isinstance(fault.plant, InHarness):
            assert hasattr(harness, fault.plant.plant), fault.id


def test_there_are_enough() -> None:
    """Beside those of the harness itself, which other methods cannot be compared on."""
    assert len([fault for fault in FAULTS if not isinstance(fault.plant, InHarness)]) >= LEAST


def test_every_pitfall_is_planted() -> None:
    """Each row of `docs/pitfalls.md` has faults here."""
    page = (checkout_dir() / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    tables = [
        re.findall(r"^\| (?!point|row).+\|$", section, re.MULTILINE)
        for section in page.split("\n## ")[1:]
    ]
    assert [len(table) for table in tables] == [len(rows) for rows in ROWS]
    ids = {fault.id for fault in FAULTS}
    for names in (names for rows in ROWS for names in rows):
        assert names
        assert ids.issuperset(names), set(names) - ids
