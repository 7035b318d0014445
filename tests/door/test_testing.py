"""`ares.testing` in the tests of somebody else: what fails there says why, and shows no frame of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

import ares
from ares.testing import assert_compatible, assert_exact
from tests.door.models import TARGET, Pooled, calibrated, normal
from tests.examples.commands import try_line
from tests.extract.models import seeded

X = normal(2, 1, 8, 8)
ROOT = Path(__file__).resolve().parents[2]

CONFTEST = """\
from ares.testing import assert_exact

pytest_plugins = ["ares.testing"]
"""
THEIRS = f"""\
import pytest

from ares.testing import assert_exact
from tests.door.conftest import empty, pooled, wrong_pooling
from tests.door.models import normal

X = normal(2, 1, 8, 8)


def test_right(exactly_in_c, pooled):
    result = exactly_in_c(pooled, X, targets="{TARGET}", cases=1)
    assert result.network == "test_right"


def test_wrong(pooled, wrong_pooling):
    assert_exact(pooled, X, targets="{TARGET}", cases=1)


@pytest.mark.parametrize("kind", ["a b"])
def test_wrong_with_the_fixture(exactly_in_c, pooled, wrong_pooling, kind):
    exactly_in_c(pooled, X, targets="{TARGET}", cases=1)
"""


def test_what_is_right_is_returned(pooled: nn.Module) -> None:
    assert assert_compatible(pooled, X, strict_warnings=True).compatible
    result = assert_exact(pooled, X, targets=TARGET, name="mine", require_all_targets=True)
    assert (result.passed, result.network) == (True, "mine")


@pytest.mark.usefixtures("wrong_pooling")
def test_a_wrong_c_fails_with_the_report(pooled: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_exact(pooled, X, targets=TARGET, cases=1, out=tmp_path / "kept")
    first, *report = str(caught.value).splitlines()
    assert first.startswith(f"NOT EXACT: c[{TARGET}] failed (difference) at layer pool")
    assert any("layer pool (OP_MAXPOOL): tensor pool differs" in line for line in report)
    assert report[-1] == first
    assert (tmp_path / "kept" / "reproduce.sh").is_file()


def test_what_cannot_be_mapped_fails() -> None:
    with pytest.raises(AssertionError, match=r"NOT MAPPABLE.*\n(.*\n)*.*was never calibrated"):
        assert_exact(seeded(Pooled), X, targets=TARGET)
    model = nn.Sequential(*seeded(Pooled).children())
    with pytest.raises(AssertionError, match=r"NOT compatible: .*\n(.*\n)*.*error"):
        assert_compatible(model[1:2], X)


def test_warnings_only_where_they_are_asked_for() -> None:
    model = seeded(Pooled)
    assert assert_compatible(model, X).warnings
    with pytest.raises(AssertionError, match="was never calibrated"):
        assert_compatible(model, X, strict_warnings=True)


def test_an_absent_target(monkeypatch: pytest.MonkeyPatch) -> None:
    model = calibrated(Pooled, X)
    monkeypatch.setattr("ares.toolchain.target.Target.missing", missing_but(TARGET))
    both = [TARGET, "m4-gcc-O2"]
    result = assert_exact(model, X, targets=both, cases=1)
    assert [verdict.stage for verdict in result.matrix.not_run] == ["c[m4-gcc-O2]"]
    with pytest.raises(AssertionError, match=r"^NOT RUN: c\[m4-gcc-O2\]\n"):
        assert_exact(model, X, targets=both, cases=1, require_all_targets=True)
    with pytest.raises(AssertionError, match=r"^NOT VERIFIED: no target could be run"):
        assert_exact(model, X, targets="m4-gcc-O2", cases=1)


def missing_but(name: str) -> object:
    return lambda target: None if target.name == name else "not here"


def test_what_cannot_be_judged_is_an_error(pooled: nn.Module) -> None:
    with pytest.raises(ares.AresError, match="unknown target"):
        assert_exact(pooled, X, targets="gcc-O9")


@pytest.mark.slow
def test_in_a_suite_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_theirs.py").write_text(THEIRS)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    line = "pytest -q -W error::pytest.PytestWarning --rootdir=. --basetemp=kept test_theirs.py"
    code, printed = try_line(line, tmp_path)
    assert code == 1, printed
    assert "2 failed, 1 passed" in printed
    _, wrong, fixture = printed.split("____ test_wrong")
    for text in (wrong, fixture):
        assert f" AssertionError: NOT EXACT: c[{TARGET}] failed (difference) at layer pool" in text
        assert "layer pool (OP_MAXPOOL): tensor pool differs" in text
        assert "ares/" not in text.partition("short test summary")[0], "a frame of ours is shown"
    assert "test_wrong_with_the_fixture[a b]: Pooled, inputs: example_inputs" in fixture
    (script,) = tmp_path.glob("kept/test_wrong_with_the_fixture*0/ares-failure/reproduce.sh")
    assert script.is_file()
