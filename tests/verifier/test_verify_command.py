"""`ares verify`: a user's model by three witnesses; what differs is named, kept, and repeated without ARES."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import ares.pipeline.subject
from ares.emit import emit
from ares.ir import Project
from ares.ops.max_pool2d import MaxPool2d
from ares.toolchain import TARGETS, Needs
from tests.checker.models import (
    PRELUDE,
    READY,
    Outcome,
    model_source,
    refused,
    trained_state,
    write,
)

Run = Callable[..., Outcome]
Plant = Callable[[str, str, str], None]
ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "tests" / "test_networks"

# The host's compiler, else the one that comes with the Python packages.
TARGET = next(
    target.name
    for target in TARGETS
    if target.name in ("gcc-O2", "zig-O2") and target.missing() is None
)
POOLED = READY.replace("pass", "self.pool = nn.MaxPool2d(2)", 1).replace(
    "        pass\n        return self.fc", "        x = self.pool(x)\n        return self.fc"
).replace("QuantLinear(256", "QuantLinear(64")  # fmt: skip


def stages(outcome: Outcome) -> dict[str, str]:
    return {verdict["stage"]: verdict["outcome"] for verdict in outcome.report["verdicts"]}


def reproduce(folder: Path) -> subprocess.CompletedProcess[str]:
    """The one command, as somebody without ARES runs it."""
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        ["sh", str(folder / "reproduce.sh")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


# What is exact.


def test_every_layer_is_shown_and_exact(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, POOLED)
    outcome = verify("--model-file", path, "--target", TARGET)
    assert (outcome.code, outcome.err) == (0, "")
    report = outcome.report
    assert report["format"] == "ares-verify-1"
    assert report["passed"] is True
    assert report["cases"] == ["realistic", "random", "edge"]
    assert report["exact_targets"] == [TARGET]
    assert report["reproduction"] is None
    assert set(stages(outcome)) == {"check", "extract", "reference", "torch", f"c[{TARGET}]"}
    assert set(stages(outcome).values()) == {"pass"}
    layers = {line["layer"]: line for line in report["layers"]}
    assert list(layers) == ["quant_in", "conv", "pool", "flatten", "fc"]
    assert layers["conv"]["op_type"] == "OP_CONV2D"
    assert (layers["conv"]["dtype"], layers["fc"]["dtype"]) == ("u8", "f32")
    assert layers["conv"]["scale"] > 0
    assert layers["conv"]["distinct"] > 20
    assert 0 <= layers["conv"]["saturated"] < 0.2
    assert all(line["exact"] == [TARGET] for line in layers.values())
    assert all(line["deviation"] <= line["allowed"] for line in layers.values())
    assert outcome.out.splitlines()[-1].startswith("EXACT: 5 layers, 3 cases, 1 target")
    assert os.listdir() == [], "nothing is left in the current folder"


@pytest.mark.parametrize("kind", ["single", "globs"])
def test_targets_are_chosen_by_name_or_pattern(kind: str, tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    patterns = {"single": ("--target", TARGET), "globs": ("--target", TARGET[:-1] + "?")}[kind]
    outcome = verify("--model-file", path, *patterns, "--jobs", "2", "--cases", "1")
    assert TARGET in outcome.report["exact_targets"]
    assert outcome.report["cases"] == ["realistic"]


def test_the_readmes_model(tmp_path: Path, verify: Run) -> None:
    """From the README to a verdict: the class as it stands there, calibrated, its state beside it."""
    source = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert source is not None
    path = write(tmp_path, source[1], "my_model.py")
    refusal = verify("--model-file", path, "--model-class", "MyModel", "--target", TARGET)
    assert refusal.code == 1
    assert "never calibrated" in refusal.out
    assert "NOT MAPPABLE" in refusal.out

    from brevitas.graph.calibrate import calibration_mode

    from ares.zoo.network_file import load_model

    model = load_model(path, "MyModel").eval()
    with torch.no_grad(), calibration_mode(model):
        model(torch.rand(4, 1, 28, 28))
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).random((3, 1, 28, 28), np.float32))
    arguments = ("--model-class", "MyModel", "--state-dict", tmp_path / "weights.safetensors")
    own = ("--inputs", tmp_path / "data.npz", "--target", TARGET)
    outcome = verify("--model-file", path, *arguments, *own)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.report["cases"] == ["sample_0", "sample_1", "sample_2", "random", "edge"]


@pytest.mark.parametrize("name", ["test_13_transformer_simple", "test_42_llama_minimal"])
def test_a_network_of_the_zoo_copied_elsewhere(name: str, tmp_path: Path, verify: Run) -> None:
    copied = shutil.copy(ZOO / f"{name}.py", tmp_path)
    state = shutil.copy(ROOT / "golden" / name / "state.safetensors", tmp_path / "s.safetensors")
    outcome = verify("--model-file", copied, "--state-dict", state, "--target", TARGET)
    assert (outcome.code, outcome.err) == (0, "")
    manifest = json.loads((ROOT / "golden" / name / "manifest.json").read_text())
    layers = {line["name"]: line for line in manifest["cases"][0]["layers"]}
    assert [line["tensor"] for line in outcome.report["layers"]] == list(layers)
    for line in outcome.report["layers"]:
        # The example inputs are the golden's realistic case.
        assert line["distinct"] == layers[line["tensor"]]["distinct"]
    members = [line for line in outcome.report["layers"] if line["composite"]]
    assert members or name == "test_42_llama_minimal"


def test_a_network_of_the_zoo_by_name(verify: Run) -> None:
    outcome = verify("--test-network", "test_37_zeropad2d", "--target", TARGET)
    assert (outcome.code, outcome.err) == (0, "")


def test_cases(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    data = tmp_path / "data.npz"
    np.savez(data, np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32))
    rows = ["sample_0", "sample_1", "sample_2", "sample_3"]
    made = ["random", "edge", "random_2", "edge_2"]
    for options, names in (
        (("--cases", "6"), ["realistic", *made, "random_3"]),
        (("--inputs", data), [*rows, *made[:2]]),
        (("--inputs", data, "--cases", "2"), rows[:2]),
        (("--inputs", data, "--cases", "7"), [*rows, *made[:3]]),
    ):
        outcome = verify("--model-file", path, "--target", TARGET, *options)
        assert outcome.code == 0
        assert outcome.report["cases"] == names
        left_out = "2 of 4 samples were left out" in outcome.out
        assert left_out == (names == rows[:2])


def test_a_model_that_takes_its_batch_for_granted(tmp_path: Path, verify: Run) -> None:
    source = READY.replace("torch.flatten(x, 1)", "x.reshape(1, 256)")
    outcome = verify("--model-file", write(tmp_path, source), "--target", TARGET)
    assert (outcome.code, outcome.err) == (0, "")


def test_thin_evidence_is_said(tmp_path: Path, verify: Run) -> None:
    source = READY.replace("torch.rand(1, 1, 8, 8),", "torch.zeros(1, 1, 8, 8),")
    outcome = verify("--model-file", write(tmp_path, source), "--target", TARGET)
    assert outcome.code == 0
    assert any("quant_in is constant" in warning for warning in outcome.report["warnings"])
    assert "warning: with the given inputs quant_in is constant" in outcome.out


def test_junit(tmp_path: Path, verify: Run) -> None:
    target = tmp_path / "junit.xml"
    path = write(tmp_path, READY)
    assert verify("--model-file", path, "--target", TARGET, "--junit-out", target).code == 0
    (suite,) = ElementTree.parse(target).getroot()
    assert [case.get("name") for case in suite][-1] == f"c[{TARGET}]"
    assert suite.get("failures") == "0"


def test_in_an_empty_folder_as_users_start_it(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    write(folder, READY)
    command = [sys.executable, "-c", "import ares.cli; ares.cli.main()", "verify"]
    done = subprocess.run(
        [*command, "--model-file", "model.py", "--target", TARGET],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("EXACT: ")
    assert {*os.listdir(folder)} - {"__pycache__"} == {"model.py"}


# What is not.


@pytest.fixture(name="plant")
def plant_fixture(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Put a fault into a file of every project that is generated."""

    faults: list[tuple[str, str, str]] = []

    def planted(plan: Any) -> Project:
        project = emit(plan)
        files = dict(project.files)
        for file, right, wrong in faults:
            assert right.encode() in files[file]
            files[file] = files[file].replace(right.encode(), wrong.encode())
        return dataclasses.replace(project, files=files)

    monkeypatch.setattr(ares.pipeline.subject, "emit", planted)

    def plant(file: str, right: str, wrong: str) -> None:
        faults.append((file, right, wrong))

    return plant


KERNEL = "runtime/src/max_pool2d.c"
TAIL = "out += p->channels;"
RIGHT, WRONG = "j < p->kernel_w", "j < p->kernel_w - (y == 2)"


def test_a_fault_in_a_kernel(plant: Plant, tmp_path: Path, verify: Run) -> None:
    plant(KERNEL, RIGHT, WRONG)
    outcome = verify("--model-file", write(tmp_path, POOLED), "--target", TARGET)
    assert outcome.code == 1
    (verdict,) = (v for v in outcome.report["verdicts"] if v["outcome"] == "fail")
    assert (verdict["stage"], verdict["fault"], verdict["layer"]) == (
        f"c[{TARGET}]",
        "difference",
        "pool",
    )
    assert "layer pool (OP_MAXPOOL): tensor pool differs from the golden" in outcome.out
    assert "first at [0, " in outcome.out
    assert "the C differs; reference and torch agree with the golden" in outcome.out
    assert re.search(r"to repeat it: ares verify .*--target", outcome.out)
    layers = {line["layer"]: line for line in outcome.report["layers"]}
    assert layers["conv"]["exact"] == [TARGET]
    assert layers["pool"]["differs"] == [TARGET]
    assert layers["fc"]["exact"] == layers["fc"]["differs"] == []
    assert outcome.out.splitlines()[-1].startswith(f"NOT EXACT: c[{TARGET}] failed (difference)")

    folder = Path("ares-failure-model")
    assert outcome.report["reproduction"] == str(folder)
    assert "sh ares-failure-model/reproduce.sh" in outcome.out
    assert os.listdir() == [str(folder)], "nothing temporary stays"
    assert not any(b"import ares" in f.read_bytes() for f in folder.rglob("*") if f.is_file())
    _fails_until_repaired(folder)


def _fails_until_repaired(folder: Path) -> None:
    moved = folder.rename(folder.with_name("else where"))
    done = reproduce(moved)
    assert done.returncode == 1, done
    shown = re.search(
        r"layer pool \(OP_MAXPOOL\): tensor pool: element \[0, \d+, 2, \d+\]: expected (\d+), found (\d+)",
        done.stderr,
    )
    assert shown is not None, done.stderr
    assert int(shown[1]) > int(shown[2])
    kernel = moved / "project" / KERNEL
    kernel.write_text(kernel.read_text().replace(WRONG, RIGHT))
    done = reproduce(moved)
    assert (done.returncode, done.stderr) == (0, "")
    assert "equal: every byte of every layer is as expected" in done.stdout


OTHER_FAULTS: Mapping[str, tuple[str, str, str, str, str]] = {
    "float": (
        "runtime/src/linear_fp32.c",
        "*out++ = value;",
        "*out++ = o == 3 ? -value : value;",
        "difference",
        r"layer fc \(OP_LINEAR_FP32\): tensor fc: element \[0, 3\]: expected -?[\d.e-]+, found -?[\d.e-]+",
    ),
    "refused": (KERNEL, "(void)scratch;", "scratch = 3;", "build", "does not build for"),
    "crash": (
        KERNEL,
        "(void)scratch;",
        "(void)scratch; if (p->out_h > 0) { return ARES_ERROR_INPUT; }",
        "crash",
        "exit code 6 behind: layer 1 conv conv",
    ),
}


@pytest.mark.parametrize("name", OTHER_FAULTS)
def test_other_faults(name: str, plant: Plant, tmp_path: Path, verify: Run) -> None:
    file, right, wrong, fault, words = OTHER_FAULTS[name]
    plant(file, right, wrong)
    out = tmp_path / "kept"
    outcome = verify("--model-file", write(tmp_path, POOLED), "--target", TARGET, "--out", out)
    assert outcome.code == 1
    assert [v["fault"] for v in outcome.report["verdicts"] if v["outcome"] == "fail"] == [fault]
    done = reproduce(out)
    assert done.returncode == 1
    assert re.search(words, done.stderr), done.stderr
    source = out / "project" / file
    source.write_text(source.read_text().replace(wrong, right))
    assert reproduce(out).returncode == 0


def test_a_files_name_is_no_command(plant: Plant, tmp_path: Path, verify: Run) -> None:
    plant(KERNEL, "(void)scratch;", "scratch = 3;")
    path = write(tmp_path, POOLED, 'a$(touch mark)`touch mark`"; touch mark; ".py')
    outcome = verify("--model-file", path, "--target", TARGET, "--out", tmp_path / "kept")
    assert outcome.code == 1
    assert reproduce(tmp_path / "kept").returncode == 1
    assert not list(tmp_path.rglob("mark"))


def test_the_earliest_layer_of_all_cases(plant: Plant, tmp_path: Path, verify: Run) -> None:
    """The first case that differs does so in the last layer, the second one in an earlier layer."""
    plant("runtime/src/linear_fp32.c", "*out++ = value;", "*out++ = o == 3 ? -value : value;")
    change = "for (int32_t c = 0; c < p->channels; ++c) { out[c] = out[c] > 200 ? 7 : out[c]; }"
    plant(KERNEL, TAIL, f"{change}\n{TAIL}")
    data = np.ones((2, 1, 8, 8), np.float32) * np.array([0.01, 100], np.float32).reshape(2, 1, 1, 1)
    np.savez(tmp_path / "data.npz", data)
    path = write(tmp_path, POOLED)
    options = ("--inputs", tmp_path / "data.npz", "--cases", "2", "--target", TARGET)
    outcome = verify("--model-file", path, *options)
    assert outcome.code == 1
    assert "case sample_0: layer fc" in outcome.out
    layers = {line["layer"]: line for line in outcome.report["layers"]}
    assert layers["pool"]["differs"] == [TARGET]
    assert layers["conv"]["exact"] == [TARGET]
    assert layers["fc"]["exact"] == layers["fc"]["differs"] == []


def test_python_and_c_agree_on_what_the_model_does_not_mean(
    monkeypatch: pytest.MonkeyPatch, plant: Plant, tmp_path: Path, verify: Run
) -> None:
    """Reference and C make the same mistake: only torch objects, and the C shows it."""
    right = MaxPool2d.reference

    def wrong(self: MaxPool2d, site: Any, arrays: Any) -> Any:
        (found,) = right(self, site, arrays)
        return (np.where(found > 0, found - 1, found),)

    monkeypatch.setattr(MaxPool2d, "reference", wrong)
    lower = (
        "for (int32_t c = 0; c < p->channels; ++c) { out[c] = (uint8_t)(out[c] - (out[c] > 0)); }"
    )
    plant(KERNEL, TAIL, f"{lower}\n{TAIL}")
    outcome = verify("--model-file", write(tmp_path, POOLED), "--target", TARGET)
    assert outcome.code == 1
    assert stages(outcome)["torch"] == "fail"
    assert stages(outcome)[f"c[{TARGET}]"] == "pass"
    assert "both compute another integer than the model means" in outcome.out
    assert any(line["deviation"] > line["allowed"] for line in outcome.report["layers"])
    done = reproduce(Path("ares-failure-model"))
    assert done.returncode == 1
    shown = re.search(r"layer pool .*expected (\d+), found (\d+)", done.stderr)
    assert shown is not None
    assert int(shown[1]) == int(shown[2]) + 1


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_nothing_is_overwritten(kind: str, plant: Plant, tmp_path: Path, verify: Run) -> None:
    mine = tmp_path / "mine"
    if kind == "folder":
        mine.mkdir()
        (mine / "thesis.txt").write_text("years of work")
    else:
        mine.write_text("years of work")
    path = write(tmp_path, POOLED)
    refused(verify("--model-file", path, "--out", mine), str(mine), "not empty")
    if kind == "folder":
        Path("ares-failure-model").mkdir()
        plant(KERNEL, RIGHT, WRONG)
        outcome = verify("--model-file", path, "--target", TARGET)
        assert outcome.report["reproduction"] == "ares-failure-model-2"
        assert os.listdir("ares-failure-model") == []


def test_a_model_that_cannot_be_mapped(tmp_path: Path, verify: Run) -> None:
    source = READY.replace(
        "self.relu = ", "self.bn = nn.LocalResponseNorm(2); self.relu = "
    ).replace(
        "self.relu(self.conv(self.quant_in(x)))", "self.relu(self.bn(self.conv(self.quant_in(x))))"
    )
    outcome = verify("--model-file", write(tmp_path, source), "--target", TARGET)
    assert outcome.code == 1
    assert "LocalResponseNorm cannot be mapped" in outcome.out
    assert stages(outcome) == {"check": "fail"}
    assert outcome.report["layers"] == []
    last = outcome.out.splitlines()[-1]
    assert last.startswith(
        "NOT MAPPABLE: bn (LocalResponseNorm): LocalResponseNorm cannot be mapped; see docs/"
    )
    assert "ares check" not in last, "there is nothing else"
    assert outcome.report["summary"] == last
    assert os.listdir() == []


def test_a_model_with_several_faults_says_how_many(
    tmp_path: Path, verify: Run, export: Run, extract: Run
) -> None:
    """The first reason stands in the line itself, whole, of every command."""
    lines = ("x = torch.cumsum(x.value, 1)", "x = torch.cummax(x, 1)[0]")
    path = write(tmp_path, model_source((), lines))
    reason = "quant_in (QuantIdentity): its quantiser quant_in.act_quant was never calibrated; calibrate it ("
    ends = re.compile(r"; [2-9] more: ares check lists them$")
    refusal = verify("--model-file", path, "--target", TARGET)
    assert refusal.out.splitlines()[-1].startswith(f"NOT MAPPABLE: {reason}")
    assert ends.search(refusal.out.splitlines()[-1])
    for words in (
        export(tmp_path / "project", "--model-file", path),
        extract("--model-file", path, "-o", tmp_path / "graph"),
    ):
        assert (words.code, words.out, words.err.count("\n")) == (1, "", 1)
        assert reason in words.err
        assert ends.search(words.err.rstrip())


def test_a_batch_is_cut_and_says_so(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY.replace("torch.rand(1,", "torch.rand(3,"))
    outcome = verify("--model-file", path, "--cases", "1", "--target", TARGET)
    note = "inputs: a batch of 3 (example_inputs() of the file) was cut to its first sample"
    assert outcome.code == 0, outcome.out
    assert outcome.report["notes"] == [note]
    assert note in outcome.out


def test_a_model_that_brevitas_refuses(tmp_path: Path, verify: Run) -> None:
    source = PRELUDE + (
        "class M(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.fc = QuantLinear(4, 2, return_quant_tensor=True)\n"
        "    def forward(self, x):\n"
        "        return self.fc(x)\n"
    )
    outcome = verify("--model-file", write(tmp_path, source), "--target", TARGET)
    assert outcome.code == 1
    assert outcome.err.count("\n") == 1
    assert "return_quant_tensor" in outcome.err


# What cannot be run here.


@pytest.fixture(name="absent")
def absent_fixture(monkeypatch: pytest.MonkeyPatch) -> str:
    """A target in the table whose compiler is nowhere."""
    known = next(target for target in TARGETS if target.name == TARGET)
    needs = Needs(commands=("no-such-compiler",), debian=("no-such-package",))
    target = dataclasses.replace(known, name="absent-O2", needs=needs)
    monkeypatch.setattr("ares.toolchain.targets.TARGETS", (*TARGETS, target))
    return target.name


def test_a_target_that_is_not_here(absent: str, tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    both = ("--model-file", path, "--target", TARGET, "--target", absent)
    outcome = verify(*both)
    assert outcome.code == 0
    assert stages(outcome)[f"c[{absent}]"] == "not run"
    assert (
        "no-such-compiler is not on the PATH (Debian: apt-get install no-such-package)"
        in outcome.out
    )
    assert verify(*both, "--require-all-targets").code == 1
    alone = verify("--model-file", path, "--target", absent)
    assert alone.code == 2
    assert alone.report["passed"] is False
    assert "NOT VERIFIED: no target could be run" in alone.out


# Usage.


def test_usage(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    model = ("--model-file", path)
    for arguments, parts in (
        ((), ("--model-file", "--test-network")),
        ((*model, "--target", "gcc-O99"), ("gcc-O99",)),
        ((*model, "--cases", "0"), ("--cases",)),
        ((*model, "--jobs", "0"), ("--jobs",)),
        ((*model, "--junit-out", tmp_path / "no" / "j.xml"), ("cannot write", "j.xml")),
        ((*model, "--junit-out", tmp_path), ("it is a folder",)),
        ((*model, "--model-class", "Other"), ("no class named Other",)),
        ((*model, "--init-kwarg", "width=3"), ("cannot be constructed",)),
        ((*model, "--input-shape", "1,3,8,8"), ("(1, 3, 8, 8)", "--input-shape")),
        ((*model, "--state-dict", tmp_path / "no.pt"), ("no.pt: no such file",)),
        (("--model-file", tmp_path / "no.py"), ("no.py: no such file",)),
        (("--test-network", "test_3_ml"), ("nearest: test_3_mlp",)),
        ((*model, "--trace", path), ("no other options",)),
        (("--trace", path), ("--project DIR is missing",)),
        (("--project", tmp_path), ("--trace FILE is missing",)),
    ):
        refused(verify(*arguments), *parts)
    assert os.listdir() == []


def test_a_state_dict_and_a_class(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    torch.save(trained_state(path), tmp_path / "weights.pt")
    options = ("--model-class", "Model", "--state-dict", tmp_path / "weights.pt")
    outcome = verify("--model-file", path, *options, "--input-shape", "1x1x8x8", "--target", TARGET)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.report["inputs"] == "--input-shape"
