"""`ares verify`: a user's model by three witnesses, and what is exact is shown layer by layer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.checker.models import READY, trained_state, write
from tests.slow import slow_but
from tests.verifier.verifying import POOLED, ROOT, TARGET, Run, stages

ZOO = ROOT / "tests" / "test_networks"


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
    float32 = report["float32"]
    assert float32["unexplained"] == 0
    assert float32["codes"] == 3 * 256
    assert float32["ties"] == sum(parting["ties"] for parting in float32["partings"])
    said = f"{float32['differing']} of 768 codes differ from the float32 run"
    assert any(line.startswith(said) for line in outcome.out.splitlines())
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


@pytest.mark.parametrize(
    "name", slow_but([0], ["test_13_transformer_simple", "test_42_llama_minimal"])
)
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


def test_a_batch_is_cut_and_says_so(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY.replace("torch.rand(1,", "torch.rand(3,"))
    outcome = verify("--model-file", path, "--cases", "1", "--target", TARGET)
    note = "inputs: a batch of 3 (example_inputs() of the file) was cut to its first sample"
    assert outcome.code == 0, outcome.out
    assert outcome.report["notes"] == [note]
    assert note in outcome.out


def test_a_state_dict_and_a_class(tmp_path: Path, verify: Run) -> None:
    path = write(tmp_path, READY)
    torch.save(trained_state(path), tmp_path / "weights.pt")
    options = ("--model-class", "Model", "--state-dict", tmp_path / "weights.pt")
    outcome = verify("--model-file", path, *options, "--input-shape", "1x1x8x8", "--target", TARGET)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.report["inputs"] == "--input-shape"
