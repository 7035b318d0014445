"""What the record says was seen is still seen: a few of its mutants, others every day.

The C by the suites on the portable way, the Python by one suite: a campaign with everything is `ares mutate --record`.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ares.emit import runtime_files
from ares.evidence import read_record
from ares.mutator.c_killing import CKiller
from ares.mutator.campaign import Wanted, draw
from ares.mutator.mutant import Language, Mutant
from ares.mutator.python_killing import PythonKiller
from ares.mutator.subjects import Judges
from ares.mutator.ways import usable_ways
from ares.pipeline.catalogue import Zoo
from tests.checkout import ROOT

C_COUNT, PYTHON_COUNT = 10, 3
SUITE = "ops_fm"


def todays(language: Language, wanted: Sequence[str], count: int) -> list[Mutant]:
    """So many of the recorded mutants that these saw and that are still there, by the date."""
    record = read_record(ROOT, "mutation")
    if record is None or language not in record:
        pytest.skip("no campaign is recorded yet: ares mutate --record")
    killed = record[language]["killed_by"]
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    names = sorted(
        (name for by, found in killed.items() if by in wanted for name in found),
        key=lambda name: hashlib.sha256(f"{day} {name}".encode()).hexdigest(),
    )[: 2 * count]
    files = sorted({name.partition(":")[0] for name in names})
    there = {m.name: m for m in draw(language, Wanted(ROOT, files)).mutants} if files else {}
    return [there[name] for name in names if name in there][:count]


def test_the_c(tmp_path: Path) -> None:
    ways, missing = usable_ways(("portable",))
    if missing:
        pytest.skip(f"portable: {missing['portable']}")
    zoo = Zoo(ROOT)
    mutants = todays("c", [f"suites {suite} on portable" for suite in zoo.suites], C_COUNT)
    killer = CKiller(ROOT, Judges(zoo), runtime_files(), ways, tmp_path, ("suites",))
    killer.prepare()
    found = {mutant.name: killer.kill(mutant).state for mutant in mutants}
    assert set(found.values()) <= {"killed"}, _again(found)


def test_the_python() -> None:
    mutants = todays("python", [f"suites {SUITE}"], PYTHON_COUNT)
    killer = PythonKiller(ROOT, 1, ("suites",), (SUITE,))
    found = {mutant.name: outcome.state for mutant, outcome in killer.kill(mutants)}
    assert set(found.values()) <= {"killed"}, _again(found)


def _again(found: Mapping[str, str]) -> str:
    lost = [name for name, state in found.items() if state != "killed"]
    return "\n".join(f"no longer seen: ares mutate --mutant '{name}'" for name in lost)
