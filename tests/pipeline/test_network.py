"""What stands in the way of a stage is a red verdict of one line, never an exception."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ares.golden import MANIFEST, STATE, GoldenError
from ares.pipeline.catalogue import ZooPaths
from ares.pipeline.network import NetworkSubject
from ares.pipeline.regenerate import regenerate
from ares.verdict import CHECK, STAGES, Outcome
from ares.zoo.state import StateError
from tests.checkout import ZOO
from tests.toolchain.tiny_network import any_target
from tests.witness.planting import (
    PROBE,
    assert_one_line,
    assert_red,
    c_verdict,
    copy_network,
    edit_golden,
    in_params,
    patched,
    prepared,
    with_golden,
    write_network,
)

NAME = "test_37_zeropad2d"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> NetworkSubject:
    return prepared(with_golden(write_network(tmp_path_factory.mktemp("probe"))))


@pytest.fixture
def paths(original: NetworkSubject, tmp_path: Path) -> ZooPaths:
    """A copy of the probe with its golden, to be damaged."""
    shutil.copytree(original.paths.source.parent, tmp_path, dirs_exist_ok=True)
    return ZooPaths("probe", tmp_path / "probe.py", tmp_path / "golden")


def _assert_all_red(paths: ZooPaths, fault: str, *says: str, first: int = 0) -> None:
    """The stages from `first` on, and the C, say the same."""
    session = NetworkSubject(paths)
    for stage in STAGES[:first]:
        assert session.stage(stage).outcome is Outcome.PASS
    for verdict in (*map(session.stage, STAGES[first:]), session.target(any_target())):
        assert_one_line(verdict, fault=fault, says=says)


# --- state and golden


def test_a_network_without_state_and_golden(tmp_path: Path) -> None:
    paths = write_network(tmp_path)
    says = "there is no state; python tools/regenerate_golden.py probe makes one"
    _assert_all_red(paths, "StateError", str(paths.golden / STATE), says)


def test_a_missing_golden_folder_named_like_a_file(paths: ZooPaths) -> None:
    shutil.rmtree(paths.golden)
    paths.golden.write_text("", encoding="utf-8")
    _assert_all_red(paths, "StateError", "there is no state")


def test_a_missing_manifest(paths: ZooPaths) -> None:
    (paths.golden / MANIFEST).unlink()
    _assert_all_red(paths, "GoldenError", "there is no golden; create it with", first=1)


def _edit_manifest(paths: ZooPaths, edit: Callable[[Any], None]) -> None:
    path = paths.golden / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    edit(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_a_manifest_of_another_format(paths: ZooPaths) -> None:
    _edit_manifest(paths, lambda manifest: manifest.update(format=2))
    _assert_all_red(paths, "GoldenError", "format 2, expected 1", first=1)


def test_a_golden_without_cases(paths: ZooPaths) -> None:
    """Nothing to compare must not be a pass."""
    _edit_manifest(paths, lambda manifest: manifest.update(cases=[]))
    _assert_all_red(paths, "GoldenError", "its cases are none", first=1)


def test_a_golden_of_another_network(paths: ZooPaths, tmp_path: Path) -> None:
    shutil.rmtree(paths.golden)
    shutil.copytree(ZOO.paths(NAME).golden, paths.golden)
    state = tmp_path / "golden" / STATE
    _assert_all_red(paths, "StateError", f"the stored state is of another network, {NAME}")
    assert state.exists()


def test_the_state_of_another_network_that_would_fit(paths: ZooPaths, tmp_path: Path) -> None:
    """Same layers and shapes, other weights: only the name tells them apart."""
    other = ZooPaths("twin", tmp_path / "twin.py", paths.golden)
    paths.source.rename(other.source)
    _assert_all_red(other, "StateError", "twin: the stored state is of another network, probe")
    with pytest.raises(StateError, match="the stored state is of another network, probe"):
        regenerate(other)


def test_a_golden_copied_from_a_twin(paths: ZooPaths) -> None:
    edit_golden(paths, lambda golden: type(golden)("twin", golden.provenance, golden.cases))
    _assert_all_red(paths, "GoldenError", "its golden is of another network, twin", first=1)


def test_a_missing_state(paths: ZooPaths) -> None:
    (paths.golden / STATE).unlink()
    _assert_all_red(paths, "StateError", "there is no state")


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
def test_a_cut_state(paths: ZooPaths, length: int) -> None:
    path = paths.golden / STATE
    path.write_bytes(path.read_bytes()[:length])
    _assert_all_red(paths, "StateError")


def test_a_state_that_lacks_a_tensor(paths: ZooPaths) -> None:
    path = paths.golden / STATE
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors = load_tensors(data)
    del tensors[min(tensors)]
    path.write_bytes(save_tensors(tensors, header["__metadata__"]))
    _assert_all_red(paths, "StateError", "lacks scale")


def test_another_state_beside_the_golden(paths: ZooPaths) -> None:
    path = paths.golden / STATE
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(bytes(data))
    _assert_all_red(paths, "GoldenError", "made from another state than the one", first=1)


# --- the network's file


def test_a_missing_file(paths: ZooPaths) -> None:
    paths.source.unlink()
    _assert_all_red(paths, "NetworkFileError", "probe.py: no such file")


def test_a_syntax_error(paths: ZooPaths) -> None:
    paths.source.write_text("def\n", encoding="utf-8")
    _assert_all_red(paths, "NetworkFileError", "syntax error, line 1")


def test_example_inputs_that_fail(paths: ZooPaths) -> None:
    text = PROBE.replace("return (signals.eeg(32, 48, sample),)", "raise RuntimeError('no data')")
    paths.source.write_text(text, encoding="utf-8")
    _assert_all_red(paths, "NetworkFileError", "example_inputs() failed: RuntimeError: no data")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        # Another size of the same layers.
        (
            "eeg(32, 48",
            "eeg(32, 42",
            "input: golden float32[1, 1, 32, 48], Graph float32[1, 1, 32, 42]",
        ),
        # Another size of one layer.
        ("nn.AvgPool2d(2)", "nn.AvgPool2d(2, stride=(2, 1))", "average: golden int8[1, 6, 4, 6]"),
        # A layer more, and its name.
        (
            "nn.Flatten()",
            "nn.Sequential(nn.MaxPool2d(1), nn.Flatten())",
            "flatten.0: golden nothing, Graph int8[1, 6, 4, 6]",
        ),
    ],
)
def test_a_network_changed_on_purpose(paths: ZooPaths, old: str, new: str, says: str) -> None:
    text = paths.source.read_text(encoding="utf-8")
    assert text.count(old) == 1
    text = text.replace(old, new)
    if "eeg" in old:
        text = text.replace("QuantLinear(144", "QuantLinear(120")
    if "stride" in new:
        text = text.replace("QuantLinear(144", "QuantLinear(264")
    paths.source.write_text(text, encoding="utf-8")
    # The stored state holds scales only: it fits.
    advice = "if the network was changed on purpose: python tools/regenerate_golden.py probe"
    _assert_all_red(paths, "GoldenError", says, advice, first=1)


def test_a_layer_that_cannot_be_mapped(paths: ZooPaths) -> None:
    text = paths.source.read_text(encoding="utf-8").replace("nn.AvgPool2d(2)", "nn.LPPool2d(2, 2)")
    paths.source.write_text(text, encoding="utf-8")
    session = NetworkSubject(paths)
    check = session.stage(CHECK)
    assert (check.outcome, check.fault, check.layer) == (Outcome.FAIL, "not mappable", "average")
    for verdict in (*map(session.stage, STAGES[1:]), session.target(any_target())):
        assert verdict.outcome is Outcome.FAIL
        assert verdict.fault == "ExtractionError"
        assert "average" in verdict.message


def test_nothing_is_written_where_something_is_refused(paths: ZooPaths) -> None:
    text = paths.source.read_text(encoding="utf-8").replace("nn.AvgPool2d(2)", "nn.LPPool2d(2, 2)")
    paths.source.write_text(text, encoding="utf-8")
    folder = paths.source.parent
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    _ = NetworkSubject(paths).stage(CHECK)
    with pytest.raises(ValueError, match="average"):
        regenerate(paths)
    after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert after == before


# --- compilers and programs


def test_a_build_that_fails(original: NetworkSubject) -> None:
    project = patched(original.project, "main.c", "int main(", "int main_(")
    verdict = c_verdict(original, project)
    assert (verdict.outcome, verdict.fault) == (Outcome.FAIL, "build")
    assert "to repeat it: cd " in verdict.message
    assert verdict.message.endswith(f"ares networks probe --target {any_target().name}")


def test_a_program_that_crashes_says_where(original: NetworkSubject) -> None:
    path = "runtime/src/avg_pool2d.c"
    start = "    (void)scratch;\n\n    for"
    crash = "    (void)scratch;\n    __builtin_trap();\n\n    for"
    verdict = c_verdict(original, patched(original.project, path, start, crash))
    says = ("before 'layer 2 average average' of case 0",)
    assert_red(verdict, layer="", fault="crash", says=says)


def test_an_access_behind_the_arena_is_no_pass(original: NetworkSubject) -> None:
    """With sanitizers the run ends there; without, the poison beyond is not what the golden says."""
    project = in_params(original.project, "quant_in", ".elements = 1536", ".elements = 1535")
    assert_red(c_verdict(original, project), layer="quant_in", says=("1 of 1536 elements",))


def test_a_missing_compiler_is_not_run(original: NetworkSubject) -> None:
    absent = replace(any_target(), name="gcc-none", compiler=("no-such-gcc",))
    verdict = original.target(absent)
    assert (verdict.outcome, verdict.fault) == (Outcome.NOT_RUN, "missing tool")
    assert "no-such-gcc is not on the PATH" in verdict.message


def test_a_vacuous_network_makes_no_golden(tmp_path: Path) -> None:
    text = PROBE.replace("signals.eeg(32, 48, sample)", "signals.eeg(32, 48, sample) * 0")
    with pytest.raises(GoldenError, match="case realistic: vacuous evidence: quant_in is constant"):
        regenerate(write_network(tmp_path, text))
    assert not (tmp_path / "golden").exists()


def test_a_copy_of_a_zoo_network_is_green(tmp_path: Path) -> None:
    session = prepared(copy_network(NAME, tmp_path))
    assert session.target(any_target()).outcome is Outcome.PASS
    assert np.all([verdict.seconds >= 0.0 for verdict in map(session.stage, STAGES)])
