"""`ares bench`: what it prints and writes, and the one line that it says of a wrong word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ares.bench.record import FORMAT, Cost
from ares.cli.bench import bench_command
from tests.checkout import ZOO
from tests.cli.commands import need
from tests.cli.outcome import Outcome
from tests.conftest import Run


@pytest.fixture
def bench(run: Run) -> Run:
    return lambda *words: run(bench_command, *words)


def refused(outcome: Outcome) -> str:
    """The one line on stderr."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()
    return line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give networks of the zoo by name, or a model of yours with --model-file"),
        (("test_1", "--model-file", "m.py"), "give networks of the zoo by name, or a model"),
        (("test_999",), "no network named 'test_999'; nearest:"),
        (("ops_ae",), "no network named 'ops_ae'"),
        (("test_1", "--target", "z80"), "z80"),
        (("test_1", "--against", "tvm"), "--against tvm: unknown; known: onnxruntime, openvino"),
        (("test_1", "--seconds", "0"), "--seconds 0: expected 0.05 to 600"),
        (("test_1", "--seconds", "nan"), "--seconds nan: expected 0.05 to 600"),
        (("test_1", "--json-out", "/no/such/folder/x"), "cannot write /no/such/folder/x"),
        (
            ("test_1", "--json-out", "-", "--record", "-"),
            "only one result can be written to stdout",
        ),
    ],
)
def test_wrong_words(bench: Run, words: tuple[str, ...], message: str) -> None:
    assert message in refused(bench(*words))


def test_a_runtime_that_is_not_there(bench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ares.bench.against.RUNTIMES", {"openvino": ("no_such_module",)})
    line = refused(bench("test_1", "--against", "openvino"))
    assert "no_such_module is not installed (pip install 'ares-codegen[bench]')" in line


def test_a_runtime_of_this_machine_and_a_board(bench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    monkeypatch.setattr("ares.bench.against.RUNTIMES", {"openvino": ("json",)})
    line = refused(bench("test_1", "--against", "openvino", "--target", "m4-gcc-O2"))
    assert "it runs on this machine, and m4-gcc-O2 does not" in line


def test_a_target_that_cannot_be_used_is_no_other_one(
    bench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("gcc")
    monkeypatch.setattr(
        "ares.cli.bench.missing_tools", lambda targets: {each.name: "gone" for each in targets}
    )
    assert "target gcc-O2 cannot be used here: gone" in refused(bench("test_1"))


def test_a_board(bench: Run, tmp_path: Path) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    file, record = tmp_path / "b.json", tmp_path / "records.json"
    words = ("test_1", "--target", "m4-gcc-O2", "--json-out", file, "--record", record)
    first, again = bench(*words), bench(*words)
    assert (first.code, again.code) == (0, 0), first.err
    assert first.out == again.out
    assert "OP_CONV2D" in first.out
    written = json.loads(file.read_text())
    assert written["format"] == FORMAT
    (cost,) = map(Cost.from_json, written["costs"])
    assert f"{cost.instructions:,}" in first.out
    assert len(json.loads(record.read_text())["entries"]) == 1


def test_several_networks_are_one_table(bench: Run) -> None:
    need("gcc")
    words = ("test_1", "test_4", "--target", "gcc-O2", "--seconds", "0.05")
    several = bench(*words)
    assert several.code == 0, several.err
    assert "OP_CONV2D" not in several.out
    rows = [line.split()[0] for line in several.out.splitlines()[:3]]
    assert rows == ["network", "test_1_simplecnn", "test_4_resnet_basic"]


def test_a_model_of_ones_own(bench: Run) -> None:
    need("gcc")
    paths = ZOO.paths("test_4")
    words = ("--model-file", paths.source, "--state-dict", paths.golden / "state.safetensors")
    done = bench(*words, "--seconds", "0.05", "--cc", "gcc -O1", "--json-out", "-")
    assert done.code == 0, done.err
    (cost,) = json.loads(done.out)["costs"]
    assert (cost["target"], cost["macs"], cost["instructions"] is None) == ("cc", 1_919_392, False)
    assert cost["layers"][0]["time"]["best"] > 0


def test_a_file_that_is_no_record_stays(bench: Run, tmp_path: Path) -> None:
    need("arm-none-eabi-gcc", "qemu-system-arm")
    file = tmp_path / "mine.txt"
    file.write_text("mine")
    done = bench("test_1", "--target", "m4-gcc-O2", "--record", file)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(
        f"ares: cannot add to {file}: not a file of records"
    )
    assert file.read_text() == "mine"


def test_a_layer_that_another_runtime_has_not(bench: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    need("gcc")
    monkeypatch.setattr("ares.bench.against.RUNTIMES", {"openvino": ("json",)})
    done = bench("test_12", "--against", "openvino", "--seconds", "0.05")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line == (
        "ares: test_12_gelu_basic: layer fc1 (OP_LINEAR_INT8) cannot be expressed for another runtime"
    )
