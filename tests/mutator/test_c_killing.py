"""What becomes of mutants of the C: seen by the suites, equivalent, refused by the compiler, or not seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from ares.emit import runtime_files
from ares.mutator.c_killing import CKiller
from ares.mutator.c_users import users
from ares.mutator.mutant import Mutant, Place
from ares.mutator.subjects import Judges
from ares.mutator.ways import usable_ways, ways_of
from ares.pipeline.catalogue import Zoo
from tests.checkout import ROOT

MUL = "runtime/src/mul.c"


@pytest.fixture(scope="module")
def killer(tmp_path_factory: pytest.TempPathFactory) -> CKiller:
    return _killer("portable", tmp_path_factory)


def _killer(way: str, tmp_path_factory: pytest.TempPathFactory) -> CKiller:
    ways, missing = usable_ways((way,))
    if missing:
        pytest.skip(f"{way}: {missing[way]}")
    # Of the suites that with the cases of mul and norm; the others say the same of themselves.
    checkout = tmp_path_factory.mktemp("checkout")
    (checkout / "golden").mkdir()
    (checkout / "golden" / "ops_fm").symlink_to(ROOT / "golden" / "ops_fm")
    folder = tmp_path_factory.mktemp("ways")
    made = CKiller(ROOT, Judges(Zoo(checkout)), runtime_files(), ways, folder, ("suites",))
    made.prepare()
    return made


def _mutant(file: str, old: str, new: str) -> Mutant:
    text = runtime_files()[file]
    assert text.count(old.encode()) == 1, (
        f"{file}: {old!r} is there {text.count(old.encode())} times"
    )
    start = text.index(old.encode())
    return Mutant(
        "c", file, Place("test", "f", start, start + len(old), new.encode()), 0, "0", text
    )


def _line(file: str, word: str) -> str:
    """The only line with a word."""
    (line,) = [line for line in runtime_files()[file].decode().splitlines() if word in line]
    return line.strip()


def test_a_fault_is_seen_by_the_suite(killer: CKiller) -> None:
    line = _line(MUL, "++i")
    found = killer.kill(_mutant(MUL, line, line.replace("= 0", "= 1")))
    assert (found.state, found.step, found.by) == ("killed", "suites", "ops_fm on portable")
    assert "mul" in found.words


def test_the_same_object_is_equivalent(killer: CKiller) -> None:
    line = _line(MUL, "++i")
    assert killer.kill(_mutant(MUL, line, f"{line} ;")).state == "equivalent"


def test_no_c_is_invalid(killer: CKiller) -> None:
    line = _line(MUL, "++i")
    found = killer.kill(_mutant(MUL, line, f"{line} undeclared++;"))
    assert found.state == "invalid"
    assert "undeclared" in found.words


def test_a_loop_without_end_is_killed(killer: CKiller) -> None:
    line = _line(MUL, "++i")
    found = killer.kill(_mutant(MUL, line, f'for (;;) {{ __asm__ volatile(""); }} {line}'))
    assert (found.state, found.step) == ("killed", "suites")
    assert "ended after" in found.words


def test_what_no_case_reaches_survives(killer: CKiller) -> None:
    """The suite of other operations says nothing of a softmax."""
    file = "runtime/src/softmax.c"
    text = runtime_files()[file].decode()
    line = next(
        line.strip() for line in text.splitlines() if "return" in line and text.count(line) == 1
    )
    found = killer.kill(_mutant(file, line, f'__asm__ volatile("nop"); {line}'))
    assert found.state == "survived"


def test_what_an_outcome_rests_on(killer: CKiller) -> None:
    """Of a kill the suite that saw it and its way; never the suites that did not."""
    line = _line(MUL, "++i")
    seen = killer.kill(_mutant(MUL, line, line.replace("= 0", "= 1")))
    assert set(seen.rests_on) == {"runtime/inc", MUL, "subject ops_fm", "way portable"}
    assert killer.digests()["way"]("portable") != killer.digests()["way"]("neon")
    assert len(killer.digests()["subject"]("ops_fm")) == 64


def test_a_board_is_linked_by_its_script(tmp_path_factory: pytest.TempPathFactory) -> None:
    board = _killer("dsp", tmp_path_factory)
    file = "runtime/src/micro_dsp.c"
    text = runtime_files()[file].decode()
    line = next(line for line in text.splitlines() if "return" in line and text.count(line) == 1)
    found = board.kill(_mutant(file, line, f'    __asm__ volatile("nop");\n{line}'))
    assert (found.state, found.words) == ("survived", "")


def test_what_runs_nowhere_here_is_said(killer: CKiller) -> None:
    file = "runtime/src/micro_neon.c"
    text = runtime_files()[file]
    mutant = Mutant("c", file, Place("test", "f", 0, 0, b" "), 0, "0", text)
    found = killer.kill(mutant)
    assert (found.state, found.words) == ("not run", "none of neon is here")


def test_ways_by_file() -> None:
    assert ways_of("runtime/src/micro_neon.c") == ("neon",)
    assert ways_of("runtime/inc/micro_avx512.h") == ("avx512-vnni",)
    assert ways_of("runtime/src/conv2d.c")[0] == "portable"
    assert ways_of("runtime/src/conv2d.c")[-1] == "big-endian", "whatever the others see"


def test_a_header_is_tried_where_it_is_used() -> None:
    runtime = runtime_files()

    def of(function: str) -> list[list[str]]:
        file = "runtime/inc/wide.h"
        text = runtime[file]
        return users(Mutant("c", file, Place("test", function, 0, 0, b""), 0, "0", text), runtime)

    assert set(of("ares_multiply_q62")[-1]) >= {"runtime/src/selective_scan.c"}
    assert "runtime/src/mul.c" not in of("ares_multiply_q62")[-1]
    assert all(Path(path).suffix == ".c" for path in of("enum")[-1])
