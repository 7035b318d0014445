"""`ares extract`: a Graph file, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ares.ir import graph_digest
from ares.ops import read_graph
from tests.checker.models import PRELUDE, READY, model_source, trained_state, write
from tests.cli.outcome import Outcome

Run = Callable[..., Outcome]


def test_writes_the_graph_and_says_what_it_is(tmp_path: Path, extract: Run) -> None:
    target = tmp_path / "graph.safetensors"
    target.write_text("something older")
    outcome = extract("--model-file", write(tmp_path, READY), "--output", target)
    assert (outcome.code, outcome.err) == (0, "")
    graph = read_graph(target.read_bytes())
    assert graph.name == "model"
    assert [operation.OP_TYPE for operation in graph.operations] == [
        "OP_REQUANTIZE",
        "OP_CONV2D",
        "OP_FLATTEN",
        "OP_LINEAR_FP32",
    ]
    assert "4 layers, 2596 weights" in outcome.out
    assert graph_digest(graph) in outcome.out
    data = target.read_bytes()
    assert extract("--model-file", tmp_path / "model.py", "--output", target).code == 0
    assert target.read_bytes() == data


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_state_dict(suffix: str, tmp_path: Path, extract: Run) -> None:
    path = write(tmp_path, model_source())
    state, saved, target = trained_state(path), tmp_path / f"state{suffix}", tmp_path / "graph"
    if suffix == ".safetensors":
        save_file(state, saved)
    else:
        torch.save(state, saved)
    outcome = extract("--model-file", path, "--state-dict", saved, "-o", target)
    assert (outcome.code, outcome.err) == (0, "")
    operations = {op.name: op for op in read_graph(target.read_bytes()).operations}
    weight = state["fc.weight"]
    codes = torch.round(weight / (weight.abs().max() / 127)).to(torch.int8)
    assert operations["fc"].weight.tolist() == codes.tolist()


def test_test_network_uses_its_stored_state(tmp_path: Path, extract: Run) -> None:
    target = tmp_path / "graph"
    outcome = extract("--test-network", "test_3_mlp", "--output", target)
    assert (outcome.code, outcome.err) == (0, "")
    assert read_graph(target.read_bytes()).name == "test_3_mlp"


BAD_MODELS = {
    "uncalibrated": (model_source(), "quant_in (QuantIdentity)", "never calibrated"),
    "other_norm": (
        READY.replace("self.relu = ", "self.bn = nn.LocalResponseNorm(2); self.relu = ").replace(
            "self.relu(self.conv(", "self.relu(self.bn(self.conv("
        ).replace("(x)))", "(x))))"),
        "bn (LocalResponseNorm)",
        "LocalResponseNorm cannot be mapped",
    ),
    "refused_by_brevitas": (
        READY.replace("self.fc = ", "self.o = QuantIdentity(return_quant_tensor=True); self.fc = ")
        .replace("        pass\n        return", "        x = x + self.o(x)\n        return")
        .replace("        model(torch", "        [m(torch.rand(4)) for m in (model.relu, model.o)] or (torch"),
        "Scaling factors are different",
        "QuantAdd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_MODELS)
def test_model_that_cannot_be_mapped(name: str, tmp_path: Path, extract: Run) -> None:
    source, layer, reason = BAD_MODELS[name]
    target = tmp_path / "graph"
    outcome = extract("--model-file", write(tmp_path, source, f"{name}.py"), "--output", target)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert layer in outcome.err
    assert reason in outcome.err
    assert not target.exists()


def test_usage(tmp_path: Path, extract: Run) -> None:
    path = write(tmp_path, READY)
    state = trained_state(path)
    torn = tmp_path / "torn.pt"
    torch.save(state, torn)
    torn.write_bytes(torn.read_bytes()[:300])
    other, evil = tmp_path / "other.pt", tmp_path / "evil.pt"
    torch.save({key: value[:1] if value.dim() else value for key, value in state.items()}, other)
    torch.save(nn.Linear(1, 1), evil)
    fake = write(tmp_path, "no tensors", "fake.safetensors")
    short = tmp_path / "short.safetensors"
    save_file({"fc.weight": state["fc.weight"]}, short)
    unseen = write(
        tmp_path,
        PRELUDE + "class M(nn.Module):\n    def forward(self, *, x):\n        return x\n",
        "unseen.py",
    )
    good = ("--model-file", path, "--model-class", "Model")
    cases = [
        (("--model-file", path), "--output"),
        ((*good, "-o", tmp_path / "g", "--state-dict", tmp_path / "no.pt"), "no.pt: no such file"),
        ((*good, "-o", tmp_path / "g", "--state-dict", tmp_path), "is a directory"),
        ((*good, "-o", tmp_path / "g", "--state-dict", torn), "cannot be read"),
        ((*good, "-o", tmp_path / "g", "--state-dict", other), "does not fit the model"),
        ((*good, "-o", tmp_path / "g", "--state-dict", evil), "cannot be read"),
        ((*good, "-o", tmp_path / "g", "--state-dict", fake), "not a safetensors file"),
        ((*good, "-o", tmp_path / "g", "--state-dict", short), "does not fit the model"),
        (("--model-file", path, "-o", tmp_path / "absent" / "graph"), "cannot write"),
        (("--model-file", unseen, "-o", tmp_path / "g"), "no inputs to run forward with"),
        (("--test-network", "test_3_ml", "-o", tmp_path / "g"), "nearest: test_3_mlp"),
        (("-o", tmp_path / "g"), "--model-file"),
    ]  # fmt: skip
    before = set(os.listdir(tmp_path))
    for arguments, part in cases:
        outcome = extract(*arguments)
        assert outcome.code == 2, arguments
        assert outcome.out == ""
        assert outcome.err.count("\n") == 1
        assert part in outcome.err
    assert set(os.listdir(tmp_path)) - {"__pycache__"} == before - {"__pycache__"}
