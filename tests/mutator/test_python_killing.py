"""What becomes of mutants of the Python: seen by a suite's reference, equivalent, no Python, or not seen."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ares.mutator import python_subjects, reach
from ares.mutator.mutant import Mutant, Place
from ares.mutator.outcome import Outcome
from ares.mutator.python_killing import PythonKiller
from ares.mutator.python_tests import failing, files_of_tests
from ares.toolchain.forks import in_children
from ares.verdict import Outcome as Judged
from ares.verdict import Verdict
from ares.verdict.verdict import OF_THE_EQUIPMENT
from tests.checkout import ROOT

FILE = "ares/numerics/rounding.py"
SUITE = "ops_fm"


def _mutant(file: str, function: str, old: str, new: str) -> Mutant:
    text = (ROOT / file).read_bytes()
    assert text.count(old.encode()) == 1, (
        f"{file}: {old!r} is there {text.count(old.encode())} times"
    )
    start = text.index(old.encode())
    place = Place("test", function, start, start + len(old), new.encode())
    return Mutant("python", file, place, 0, "0", text)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Every mutant of this file, tried by one suite."""
    head = "from __future__ import annotations"
    mutants = {
        "raises": _mutant(FILE, "module", head, f"{head}; raise ValueError('here')"),
        "same": _mutant(FILE, "module", head, f"{head}  # as it was"),
        "no python": _mutant(FILE, "module", head, f"{head} ("),
        "unreached": _mutant(FILE, "module", head, f"{head}; unused = 1"),
        "exits": _mutant(FILE, "module", head, f"{head}; import os; os.kill(os.getpid(), 9)"),
        "loops": _mutant(FILE, "module", head, f"{head}; exec('while True: pass')"),
    }
    killer = PythonKiller(ROOT, 1, ("suites",), (SUITE,))
    names = {id(mutant): name for name, mutant in mutants.items()}
    return {names[id(m)]: outcome for m, outcome in killer.kill(list(mutants.values()))}


def test_each_end(outcomes: dict[str, Outcome]) -> None:
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "raises": "killed",
        "same": "equivalent",
        "no python": "invalid",
        "unreached": "survived",
        "exits": "killed",
        "loops": "killed",
    }
    assert (outcomes["raises"].step, outcomes["raises"].by) == ("suites", SUITE)
    assert "here" in outcomes["raises"].words
    assert outcomes["exits"].step == "crash"
    assert "TookLong" in outcomes["loops"].words


@pytest.mark.parametrize(
    ("error", "is_machine"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (ValueError("wrong"), False),
        (SystemExit(1), False),
        (RecursionError("too deep"), False),
    ],
)
def test_what_the_machine_lacks_kills_no_mutant(
    error: BaseException, is_machine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verdicts(*_: object) -> tuple[str, str]:
        raise error

    monkeypatch.setattr(python_subjects, "_verdicts", verdicts)
    if is_machine:
        with pytest.raises(python_subjects.OfTheMachine):
            python_subjects.judged(ROOT, SUITE, "")
    else:
        assert python_subjects.judged(ROOT, SUITE, "")[0].startswith(type(error).__name__)


@pytest.mark.parametrize("fault", OF_THE_EQUIPMENT)
def test_a_verdict_that_compared_nothing_kills_no_mutant(fault: str) -> None:
    with pytest.raises(python_subjects.OfTheMachine, match="no room"):
        python_subjects._require_compared(Verdict("n", "c", Judged.FAIL, "no room", fault))
    python_subjects._require_compared(Verdict("n", "c", Judged.FAIL, "other", "difference"))


def test_tests_are_found_by_name() -> None:
    assert files_of_tests("ares/ops/mul.py", ROOT)[0] == "tests/ops/test_mul.py"
    assert "tests/numerics/test_rescale.py" in files_of_tests("ares/numerics/rescale.py", ROOT)
    assert all(f.startswith("tests/witness/") for f in files_of_tests("ares/witness.py", ROOT))
    assert files_of_tests("ares/witness.py", ROOT)
    assert len(files_of_tests("ares/ops/_panels.py", ROOT)) > 1


def test_what_failed_first_is_named(tmp_path: Path) -> None:
    """In a child, for pytest leaves much behind in its process."""
    (tmp_path / "test_few.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_right(n): assert n\ndef test_wrong(): assert 1 == 2\n"
        "def test_endless():\n    while True: pass\n"
    )
    tasks = {
        "right": ["test_few.py::test_right[1]"],
        "wrong": ["test_few.py::test_right[1]", "test_few.py::test_wrong"],
        "renamed": ["test_few.py::test_right[3]"],
        "endless": ["test_few.py::test_endless"],
    }

    def ask(task: str) -> str:
        return repr(failing(tmp_path, [reach.Test(name, 0.1, 1.0) for name in tasks[task]]))

    said = {each.task: each.said or each.wrong for each in in_children(tasks, ask, 1, 120.0)}
    assert said["right"] == "None"
    assert "test_wrong" in said["wrong"]
    assert "1 == 2" in said["wrong"]
    assert "test_wrong" in said["renamed"], "the file in place of what it no longer has"
    assert "test_endless" in said["endless"]
    assert "more processor time" in said["endless"]
