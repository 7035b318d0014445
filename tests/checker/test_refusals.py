"""What `ares.extract.extract` refuses: one error that names the layer at fault."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import brevitas.nn as qnn
import pytest
import torch
from brevitas.graph.calibrate import calibration_mode
from torch import Tensor, nn

from ares.extract import ExtractionError, Status, analyse, extract
from tests.checker.models import model_source, write
from tests.cli.outcome import Outcome


class Net(nn.Module):
    def __init__(self, features: int = 8, signed: bool = True) -> None:
        super().__init__()
        first = qnn.QuantIdentity if signed else qnn.QuantReLU
        self.first = first(return_quant_tensor=True)
        self.wide = qnn.QuantLinear(features, 2, bias=True)
        self.act = qnn.QuantReLU(return_quant_tensor=True)
        self.head = qnn.QuantLinear(2, 2, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.wide(self.first(x))))


def calibrated(model: nn.Module, x: Tensor) -> nn.Module:
    model.eval()
    with torch.no_grad(), calibration_mode(model):
        model(x)
    return model.eval()


def spread(features: int) -> Tensor:
    return torch.linspace(-1.0, 3.0, features).reshape(1, features)


def refusal(model: nn.Module, features: int = 8) -> ExtractionError:
    with pytest.raises(ExtractionError) as caught:
        extract(model, [spread(features)], "net")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("net: ")
    return caught.value


def test_a_good_model_is_extracted() -> None:
    graph = extract(calibrated(Net(), spread(8)), [spread(8)], "net")
    assert [operation.name for operation in graph.operations] == ["first", "wide", "head"]


def test_training_mode() -> None:
    model = calibrated(Net(), spread(8))
    model.train()
    assert refusal(model).finding.layer == ""
    model.eval()
    # Brevitas shares inner modules between quantisers: the layer whose own flag is set is named.
    model.act.train()
    error = refusal(model)
    assert (error.finding.layer, error.finding.layer_type) == ("act", "QuantReLU")
    assert "model.eval()" in str(error)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float) -> None:
    for name in ("weight", "bias"):
        model = calibrated(Net(), spread(8))
        with torch.no_grad():
            getattr(model.head, name)[0] = value
        error = refusal(model)
        assert error.finding.layer == "head"
        assert "NaN" in error.finding.reason


def test_uncalibrated() -> None:
    error = refusal(Net().eval())
    assert error.finding.layer == "first"
    assert "never calibrated" in error.finding.reason


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_models_that_are_not_float32(dtype: torch.dtype) -> None:
    error = refusal(calibrated(Net(), spread(8)).to(dtype))
    assert (error.finding.layer, error.finding.layer_type) == ("first", "QuantIdentity")
    assert "expected float32" in error.finding.reason


FITS, OVERFLOWS = 2**31 // (127 * 255), 2**31 // (127 * 255) + 1


@pytest.mark.parametrize("layer", ["wide", "head"])
def test_accumulator_that_could_overflow(layer: str) -> None:
    """One feature more than int32 allows, before a quantiser (`wide`) and at the network's end (`head`)."""
    for features, overflows in ((FITS, False), (OVERFLOWS, True)):
        model = Net(features, signed=False)
        if layer == "head":
            model.act, model.head = nn.Identity(), nn.Identity()
        with torch.no_grad():
            model.wide.weight.fill_(0.5)
        calibrated(model, spread(features))
        if not overflows:
            extract(model, [spread(features)], "net")
            continue
        error = refusal(model, features)
        assert (error.finding.layer, error.finding.layer_type) == ("wide", "QuantLinear")
        assert str(127 * 255 * features) in error.finding.reason
        assert "fewer input channels" in error.finding.suggestion


def test_scales_beyond_integers_name_the_layer_with_the_weights() -> None:
    model = calibrated(Net(), spread(8))
    with torch.no_grad():
        model.wide.weight.fill_(1e30)
    assert refusal(model).finding.layer == "wide"


def test_inputs_without_a_sample() -> None:
    model = calibrated(Net(), spread(8))
    for bad in (torch.tensor(1.0), torch.zeros(0, 8)):
        with pytest.raises(ExtractionError, match="expected a batch"):
            extract(model, [bad], "net")


class Counting(Net):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        x = self.first(x)
        return self.wide(x) if self.calls % 2 else self.wide(torch.relu(x))


@pytest.mark.parametrize("held", [torch.ones(1, requires_grad=True) * 2, threading.Lock()])
def test_models_that_cannot_be_copied(held: object) -> None:
    model = calibrated(Net(), spread(8))
    model.held = held
    assert "cannot be copied" in refusal(model).finding.reason


def test_forward_that_differs_from_run_to_run() -> None:
    error = refusal(calibrated(Counting(), spread(8)))
    assert "two runs of forward differ" in error.finding.reason


class Broken(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LocalResponseNorm(2)
        self.drop_path = nn.LPPool1d(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x[:, None])[:, 0]
        x = torch.cumsum(self.drop_path(x[:, None])[:, 0], 1)
        return self.head(self.act(self.wide(self.first(x))))


def test_analysis_goes_on_after_an_error_and_claims_nothing_of_what_follows() -> None:
    analysis = analyse(Broken().eval(), [spread(8)], "net")
    assert [error.layer_type for error in analysis.errors] == [
        "LocalResponseNorm",
        "LPPool1d",
        "cumsum",
    ]
    assert analysis.graph is None
    for finding in analysis.findings:
        if finding.layer in ("wide", "head"):
            assert finding.status is Status.SUPPORTED
            assert "not judged" in finding.reason
        if finding.layer in ("first", "act"):
            # What is true of the quantiser itself, and no word of what it became.
            assert finding.status is Status.WARNING
            assert "never calibrated" in finding.reason
            assert finding.op_type == ""


FILES = {
    "nan": ("torch.nn.init.constant_(self.conv.weight, float('nan'))", "conv", "NaN"),
    "half": ("self.half()", "quant_in", "expected float32"),
    "double": ("self.double()", "quant_in", "expected float32"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_checker_names_the_layer_too(
    name: str, tmp_path: Path, check: Callable[..., Outcome]
) -> None:
    line, layer, reason = FILES[name]
    source = model_source([line])
    outcome = check("--model-file", write(tmp_path, source, f"{name}.py"))
    assert (outcome.code, outcome.err) == (1, "")
    (error,) = outcome.errors()
    assert error["layer"] == layer
    assert reason in error["reason"]
