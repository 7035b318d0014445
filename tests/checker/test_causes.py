"""One finding for one cause: a class of the user's that is called like a layer of ares.nn and is another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import ares.nn
from ares.checker import check_model
from ares.extract import Status
from tests.checker.models import PRELUDE, READY, model_source, write
from tests.cli.outcome import Outcome
from tests.slow import one_in

Check = Callable[..., Outcome]

QUANT = "self.quant = QuantIdentity(return_quant_tensor=True)"
LAYERS = [
    name
    for name, found in vars(ares.nn).items()
    if name in ares.nn.__all__ and isinstance(found, type) and issubclass(found, nn.Module)
]


def source(double: str, init: str, body: str) -> str:
    """The model of `models.py` with a class of the user's in front of it."""
    return model_source([init, QUANT], [body]).replace(PRELUDE, f"{PRELUDE}{double}\n\n")


SSM = """\
class QuantSSM(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.LPPool2d(2, 1)
        self.norm = nn.LocalResponseNorm(2)
        self.log_a = nn.Parameter(torch.ones(8))

    def forward(self, x):
        x = self.norm(self.up(getattr(x, "value", x)))
        steps = []
        for t in range(x.shape[-1]):
            steps.append(torch.exp(-torch.exp(self.log_a[t]) * torch.cumsum(x[..., t], 1)))
        return torch.stack(steps, -1)
"""


@pytest.mark.parametrize("how", ["seen", "unseen"])
def test_a_double_is_one_finding(how: str, tmp_path: Path, check: Check) -> None:
    text = source(SSM, "self.ssm = QuantSSM()", "x = self.quant(self.ssm(x))")
    if how == "unseen":
        text = text.replace(
            "def forward(self, x):\n        x = self.relu",
            "def forward(self, x, *, k):\n        x = self.relu",
        )
        text = text.partition("def example_inputs")[0]
    found = check("--model-file", write(tmp_path, text), "--model-class", "Model")
    assert found.code == 1
    (error,) = found.errors()
    assert (error["layer"], error["type"]) == ("ssm", "QuantSSM")
    assert error["reason"] == (
        "a QuantSSM of its own, which is not ares.nn's and cannot be mapped: "
        "up (LPPool2d): LPPool2d cannot be mapped"
    )
    assert error["suggestion"] == "import that one: from ares.nn import QuantSSM"
    assert not [f for f in found.report["findings"] if f["layer"].startswith("ssm.")]


def test_every_command_says_so_in_its_last_line(tmp_path: Path, verify: Check) -> None:
    text = source(SSM, "self.ssm = QuantSSM()", "x = self.quant(self.ssm(x))")
    text += READY[READY.index("def create_model") :]
    outcome = verify("--model-file", write(tmp_path, text), "--target", "zig-O2")
    assert outcome.code == 1
    last = outcome.out.splitlines()[-1]
    assert last.startswith("NOT MAPPABLE: ssm (QuantSSM): a QuantSSM of its own")
    assert last.endswith("from ares.nn import QuantSSM")


def test_each_double_once_and_what_is_beside_it_too(tmp_path: Path, check: Check) -> None:
    block = """\
class QuantMambaBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.ssm = QuantSSM()

    def forward(self, x):
        return torch.cumsum(self.ssm(x), 1)
"""
    text = source(
        f"{SSM}\n\n{block}",
        "self.blocks = nn.ModuleList([QuantMambaBlock(), QuantMambaBlock()]); self.other = QuantSSM()",
        "x = self.quant(self.blocks[0](x)); x = self.quant(self.blocks[1](x)); "
        "x = self.quant(torch.cummax(self.other(x), 1)[0])",
    )
    errors = check("--model-file", write(tmp_path, text), "--model-class", "Model").errors()
    assert [(error["layer"], error["type"]) for error in errors] == [
        ("blocks.0", "QuantMambaBlock"),
        ("blocks.1", "QuantMambaBlock"),
        ("other", "QuantSSM"),
        ("cummax", "cummax"),
    ]


def test_a_double_that_can_be_mapped_is_none(tmp_path: Path, check: Check) -> None:
    double = """\
class QuantAdd(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = QuantIdentity(return_quant_tensor=True)

    def forward(self, x, y):
        return self.quant(x.value + y.value)
"""
    text = source(double, "self.join = QuantAdd()", "x = self.quant(self.join(x, x))")
    found = check("--model-file", write(tmp_path, text), "--model-class", "Model")
    assert found.code == 0
    assert found.finding("join.add")["op_type"] == "OP_ADD"


def test_what_derives_from_ours_is_ours(tmp_path: Path, check: Check) -> None:
    double = """\
import ares.nn

class QuantAdd(ares.nn.QuantAdd):
    def forward(self, x, y):
        return torch.cumsum(super().forward(x, y), 1)
"""
    text = source(double, "self.join = QuantAdd()", "x = self.quant(self.join(x, x))")
    (error,) = check("--model-file", write(tmp_path, text), "--model-class", "Model").errors()
    assert "cumsum" in error["reason"]
    assert "import" not in error["suggestion"]


@pytest.mark.parametrize("name", one_in(3, LAYERS))
def test_the_names_are_those_of_ares_nn(name: str) -> None:
    def forward(self: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return torch.cumsum(x, 1)

    double = type(name, (nn.Module,), {"forward": forward})
    model = nn.Sequential(ares.nn.QuantIdentity(), double(), ares.nn.QuantIdentity())
    (error,) = check_model(model.eval(), [torch.ones(1, 4)]).errors
    assert (error.layer, error.layer_type, error.status) == ("1", name, Status.ERROR)
    assert error.suggestion == f"import that one: from ares.nn import {name}"


def test_the_network_itself_may_have_any_name() -> None:
    class TransformerBlock(nn.Sequential):
        pass

    model = TransformerBlock(ares.nn.QuantIdentity(), nn.LocalResponseNorm(2))
    (error,) = check_model(model.eval(), [torch.ones(1, 4, 4)]).errors
    assert error.layer == "1"
