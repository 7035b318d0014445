"""`ares export`: a C project in a folder of its own, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ares.pipeline.network import NetworkSubject
from tests.checker.models import model_source, write
from tests.checkout import ZOO
from tests.cli.outcome import Outcome

Run = Callable[..., Outcome]
NETWORK = "test_37_zeropad2d"


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_writes_the_project_that_is_verified(export: Run, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "project"
    outcome = export(folder, "--test-network", NETWORK)
    assert outcome.code == 0, outcome.err
    verified, written = NetworkSubject(ZOO.paths(NETWORK)).project.files, _files(folder)
    built_with = {"Makefile", "CMakeLists.txt"}  # also build the self-test
    assert {name for name in verified if written[name] != verified[name]} == built_with
    extra = {name for name in written if name not in verified}
    assert extra == {
        *("README.md", "expected.json", "selftest.c"),
        *("selftest/selftest.c", "selftest/selftest.h", "selftest/selftest_put.c"),
    }
    assert f"make -C {folder} check" in outcome.out
    assert [path.name for path in folder.parent.iterdir()] == ["project"], "nothing temporary stays"


def test_an_empty_folder_may_be_there(export: Run, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    assert export(tmp_path / "project", "--test-network", NETWORK).code == 0


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_nothing_is_overwritten(export: Run, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine"
    if kind == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("years of work")
    else:
        path.write_text("years of work")
    outcome = export(path, "--test-network", NETWORK)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "not empty" in outcome.err
    kept = path / "thesis.txt" if kind == "folder" else path
    assert kept.read_text() == "years of work"


def test_an_unmappable_model_leaves_nothing(export: Run, tmp_path: Path) -> None:
    source = write(tmp_path, model_source())  # never calibrated
    outcome = export(tmp_path / "project", "--model-file", source)
    assert outcome.code == 1
    assert "never calibrated" in outcome.err
    assert not (tmp_path / "project").exists()


def test_what_cannot_be_codes_is_refused(export: Run, tmp_path: Path) -> None:
    outcome = export(tmp_path / "project", "--test-network", NETWORK, "--io", "codes")
    assert outcome.code == 1
    assert "output fc of layer fc (OP_LINEAR_FP32) cannot be codes" in outcome.err
    assert not (tmp_path / "project").exists()


@pytest.mark.slow
def test_codes_in_and_out(export: Run, tmp_path: Path) -> None:
    outcome = export(tmp_path / "p", "--test-network", "test_48_superres", "--io", "codes")
    assert outcome.code == 0, outcome.err
    header = (tmp_path / "p" / "test_48_superres.h").read_text()
    assert "int8_t *input, uint8_t *output0" in header.replace(
        "int8_t *output0", "uint8_t *output0"
    )
    assert "#define TEST_48_SUPERRES_INPUT_SCALE" in header
