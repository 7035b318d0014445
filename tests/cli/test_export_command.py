"""`ares export`: a C project in a folder of its own, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
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


def test_onnx_is_one_file(export: Run, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    outcome = export(path, "--test-network", NETWORK, "--format", "onnx")
    assert outcome.code == 0, outcome.err
    onnx.checker.check_model(onnx.load(path), full_check=True)
    assert f"{path}: {NETWORK}, 9 layers" in outcome.out
    assert [each.name for each in tmp_path.iterdir()] == ["network.onnx"]


def test_onnx_of_codes(export: Run, tmp_path: Path) -> None:
    """What takes codes has no quantiser in front; what ends in reals cannot."""
    path = tmp_path / "network.onnx"
    outcome = export(path, "--test-network", NETWORK, "--format", "onnx", "--io", "codes")
    assert outcome.code == 1
    assert "cannot be codes" in outcome.err
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "c", "--allow-approximate"), "--allow-approximate is for --format onnx"),
        (("--format", "onnx"), "is there already; name a new file or remove it first"),
        (("--format", "tflite"), "'tflite' is not one of"),
    ],
)
def test_what_onnx_refuses(export: Run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    path = tmp_path / "network.onnx"
    path.write_text("years of work")
    outcome = export(path, "--test-network", NETWORK, *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert path.read_text() == "years of work"


def test_onnx_wants_a_folder_that_is_there(export: Run, tmp_path: Path) -> None:
    outcome = export(tmp_path / "no" / "n.onnx", "--test-network", NETWORK, "--format", "onnx")
    assert outcome.code == 2
    assert "make it first" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_what_onnx_cannot_say_is_named(export: Run, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    outcome = export(path, "--test-network", "test_17_mamba_ssm", "--format", "onnx")
    assert outcome.code == 1
    assert "layer ssm" in outcome.err
    assert outcome.err.count("\n") == 1
    assert not path.exists()
