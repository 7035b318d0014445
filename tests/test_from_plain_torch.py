"""docs/from-plain-torch.md: every block is saved or run, in order, in an empty folder; what the prose says is true."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import torch
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize, quantize
from brevitas.nn import QuantIdentity
from torch import Tensor, nn

import ares
from tests.examples.pages import DOCS, blocks, follow
from tests.extract.models import fast_target
from tests.slow import one_in

PAGE = DOCS / "from-plain-torch.md"
HELD_OUT = 297


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("make") and shutil.which("cc")), reason="needs make and cc")
def test_the_page_works(tmp_path: Path) -> None:
    printed = follow(PAGE, tmp_path)
    float32, quantised = counts(printed["python calibrate.py"])
    assert counts(printed["python train.py"]) == [float32]
    # The C counts what the quantised network counts, and quantising costs less than one in a hundred.
    assert counts(printed["./digits"]) == [quantised]
    assert float32 - quantised < HELD_OUT / 100
    # What the page shows is what is found here, but for how training goes on this machine.
    (shown,) = set(counts(PAGE.read_text()))
    assert abs(shown - float32) < HELD_OUT / 50
    assert set(re.findall(r"\| (\d+\.\d) % \|", PAGE.read_text())) == {
        f"{shown / HELD_OUT:.1%}"[:-1]
    }


def counts(text: str) -> list[int]:
    return [int(right) for right in re.findall(rf"(\d+) of {HELD_OUT}\b", text)]


def test_what_is_saved() -> None:
    names = [block.name for block in blocks(PAGE) if block.name]
    assert names == [
        "network.py",
        "train.py",
        "digits.py",
        "calibrate.py",
        "main.c",
        "per_channel.py",
        "silu.py",
        "silu_quantised.py",
    ]


def graph_mode(model: nn.Module) -> nn.Module:
    return cast(nn.Module, quantize(preprocess_for_quantize(model.eval())))


def calibrated(model: nn.Module, shape: tuple[int, ...] = (1, 8, 8), end: bool = True) -> nn.Module:
    """`end`: run the page's loop over `observer_only`."""
    torch.manual_seed(0)
    with torch.no_grad(), calibration_mode(model.eval()):
        model(torch.rand(16, *shape))
    if end:
        for module in model.modules():
            module.observer_only = False
    return model


def exact(model: nn.Module, shape: tuple[int, ...] = (1, 8, 8)) -> None:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(2, *shape, generator=generator)
    result = ares.verify(model, images, targets=fast_target().name)
    assert result.passed, str(result)


def refused(model: nn.Module, shape: tuple[int, ...] = (1, 8, 8)) -> str:
    """The reason of the first error."""
    report = ares.check(model, torch.zeros(1, *shape))
    assert not report.compatible
    return report.errors[0].reason


def quoted(pattern: str) -> re.Pattern[str]:
    """What stands between backquotes on the page, as a pattern; `...` stands for a name."""
    assert f"`{pattern}`" in " ".join(PAGE.read_text().split())
    return re.compile(re.escape(pattern).replace(re.escape("..."), ".+"))


class Branches(nn.Module):
    """relu(x + norm(conv(x))), then the concatenation of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU())
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.near = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.wide = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = self.relu(x + self.norm(self.conv(x)))
        return cast(Tensor, self.last(torch.cat([self.near(x), self.wide(x)], dim=1)))


class Chain(nn.Sequential):
    """Layer, BatchNorm, activation, pooling by maximum, layer."""

    def __init__(self) -> None:
        conv = nn.Conv2d(1, 4, 3, bias=False)
        super().__init__(
            conv, nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 5)
        )


class Branching(Chain):
    """The same, if the picture is large enough."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.shape[2] > 4 else x


def test_quantisers_that_a_cat_shares_observe_until_they_are_told() -> None:
    model = calibrated(graph_mode(Branches()), end=False)
    quote = "its quantiser near.1.act_quant still observes and does not quantise"
    assert quoted(quote).match(refused(model))
    assert quoted("still observes and does not quantise").search(refused(model))
    exact(calibrated(model))


def test_the_flag_is_not_in_the_state_dict() -> None:
    model = calibrated(graph_mode(Branches()), end=False)
    fresh = graph_mode(Branches())
    fresh.load_state_dict(model.state_dict())
    exact(fresh.eval())


def test_bias_correction_behind_calibration() -> None:
    model: Any = calibrated(graph_mode(Branches()))
    before = model.last.bias.detach().clone()
    with torch.no_grad(), bias_correction_mode(model):
        model(torch.rand(16, 1, 8, 8))
    assert not torch.equal(before, model.last.bias)
    fresh = graph_mode(Branches())
    fresh.load_state_dict(model.state_dict())
    exact(fresh.eval())


def test_the_float_network_is_taken_over() -> None:
    model = Branches().eval()
    with torch.no_grad():
        cast(Tensor, model.norm.running_var).fill_(4.0)
    images = torch.rand(2, 1, 8, 8)
    before = model(images)
    graph_mode(model)
    assert not torch.equal(model(images), before)


@pytest.fixture
def page_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a module that the page saves."""
    for block in blocks(PAGE):
        if block.language == "python":
            (tmp_path / block.name).write_text(block.text)
            monkeypatch.delitem(sys.modules, block.name.removesuffix(".py"), raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module


def test_a_scale_for_each_channel(page_modules: Callable[[str], ModuleType]) -> None:
    model = calibrated(page_modules("per_channel").create_model())
    assert model.get_submodule("stem").quant_weight().scale.numel() == 16
    exact(model)


@pytest.mark.parametrize("kind", one_in(4, [nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid]))
def test_quantise_behind(kind: type[nn.Module], page_modules: Callable[[str], ModuleType]) -> None:
    def network() -> nn.Module:
        conv, pool = nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1)
        return graph_mode(nn.Sequential(conv, kind(), pool, nn.Flatten(), nn.Linear(4, 3)))

    quote = quoted("its input is the real output of ... (SiLU)").pattern
    assert kind.__name__ in PAGE.read_text()
    assert re.match(quote.replace("SiLU", kind.__name__), refused(calibrated(network())))
    quantise_behind = page_modules("silu_quantised").quantise_behind
    exact(calibrated(quantise_behind(network(), kind)))


def test_networks_that_end_in_a_layer_without_binary32_results() -> None:
    def network() -> nn.Module:
        conv, norm = nn.Conv2d(1, 4, 3), nn.LayerNorm(6)
        return graph_mode(nn.Sequential(conv, nn.ReLU(), norm))

    quote = "the network's output is the real output of ... (LayerNorm)"
    assert quoted(quote).match(refused(calibrated(network())))
    exact(calibrated(nn.Sequential(network(), QuantIdentity())))


def test_a_value_in_a_sum_and_in_a_concatenation(monkeypatch: pytest.MonkeyPatch) -> None:
    class Net(nn.Module):
        def __init__(self, again: nn.Module) -> None:
            super().__init__()
            self.near = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU())
            self.wide = nn.Conv2d(1, 4, 3, padding=1)
            self.relu = nn.ReLU()
            self.again = again
            self.last = nn.Conv2d(8, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            near, wide = self.near(x), self.wide(x)
            both = torch.cat([self.relu(near + wide), self.again(near)], dim=1)
            return cast(Tensor, self.last(both))

    # Brevitas tries ten thousand times, which takes minutes.
    monkeypatch.setattr("brevitas.graph.quantize_impl.MAX_RESIDUAL_ITERS", 20)
    with pytest.raises(RuntimeError, match=quoted("Residual handler could not find a solution")):
        graph_mode(Net(nn.Identity()))
    exact(calibrated(graph_mode(Net(nn.ReLU()))))


def test_control_flow_is_for_layerwise() -> None:
    quote = "symbolically traced variables cannot be used as inputs to control flow"
    with pytest.raises(Exception, match=quoted(quote)):  # one of Brevitas' own, from its copy of fx
        graph_mode(Branching())
    exact(calibrated(layerwise_quantize(Branching().eval())))


def test_layerwise_is_for_chains() -> None:
    exact(calibrated(layerwise_quantize(Chain().eval())))
    assert "operand is the real output" in refused(
        calibrated(layerwise_quantize(Branches().eval()))
    )


@pytest.mark.parametrize(("function", "alone"), [(torch.relu, True), (nn.functional.relu, False)])
def test_relu_as_a_function(function: Callable[[Tensor], Tensor], alone: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)
            self.last = nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return cast(Tensor, self.last(function(self.conv(x))))

    model = calibrated(graph_mode(Net()))
    exact(model)
    found = [finding.op_type for finding in ares.check(model, torch.zeros(1, 1, 8, 8)).findings]
    assert ("OP_RELU" in found) is alone
