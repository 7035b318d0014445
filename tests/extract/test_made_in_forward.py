"""Layers that forward makes, or keeps where no module registers them: one finding each, not what they compute."""

from __future__ import annotations

from pathlib import Path

import pytest

from ares.extract import NOT_JUDGED, Finding, Status, analyse
from ares.zoo.network_file import load_network_file
from tests.checker.models import model_source, write

ANEW = "register it in __init__"
CASES: dict[str, tuple[list[str], list[str], list[tuple[str, str]]]] = {
    "a float layer": ([], ["x = nn.Conv2d(4, 4, 1)(x.value)"], [("a Conv2d is made anew", ANEW)]),
    "quantised layers": (
        [],
        ["x = QuantConv2d(4, 4, 1)(x)", "x = QuantReLU(return_quant_tensor=True)(x)"],
        [("a QuantConv2d is made anew", ANEW), ("a QuantReLU is made anew", ANEW)],
    ),
    "by keyword": (
        [],
        ["x = nn.Conv2d(4, 4, 1)(input=x.value)"],
        [("a Conv2d is made anew", ANEW)],
    ),
    "layers in one": (
        [],
        ["x = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)).eval()(x.value)"],
        [("a Sequential is made anew", ANEW)],
    ),
    "layers in a list": (
        ["self.layers = [QuantConv2d(4, 4, 1), nn.Identity()]"],
        ["for layer in self.layers:", "    x = layer(x)"],
        [("a QuantConv2d is held in the plain container layers", "nn.ModuleList")],
    ),
    "a layer in a dict, called twice": (
        ["self.layers = {'a': [QuantConv2d(4, 4, 1)]}"],
        ["x = self.layers['a'][0](self.layers['a'][0](x))"],
        [("a QuantConv2d is held in the plain container layers", "nn.ModuleList")] * 2,
    ),
}


def errors(folder: Path, init: list[str], body: list[str]) -> list[Finding]:
    network = load_network_file(write(folder, model_source(init, body)))
    analysis = analyse(network.create_model().eval(), network.example_inputs(), "net")
    judged = [f for f in analysis.findings if f.layer in ("flatten", "fc")]
    assert all(
        (f.status, f.reason) == (Status.SUPPORTED, NOT_JUDGED) for f in judged if not f.op_type
    )
    return list(analysis.errors)


@pytest.mark.parametrize("name", CASES)
def test_one_finding_each(name: str, tmp_path: Path) -> None:
    init, body, expected = CASES[name]
    found = errors(tmp_path, init, body)
    assert len(found) == len(expected), found
    for error, (reason, advice) in zip(found, expected, strict=True):
        assert reason in error.reason
        assert advice in error.suggestion


@pytest.mark.parametrize("call", ["nn.MaxPool2d(2)", "nn.ReLU()", "nn.Identity()"])
def test_what_has_no_state_may_be_made_in_forward(call: str, tmp_path: Path) -> None:
    source = model_source((), [f"x = {call}(x.value)"])
    source = source.replace(
        "QuantLinear(256", "QuantLinear(64" if "Pool" in call else "QuantLinear(256"
    )
    network = load_network_file(write(tmp_path, source))
    analysis = analyse(network.create_model().eval(), network.example_inputs(), "net")
    assert analysis.errors == ()
