"""Networks that Brevitas' graph mode quantised: its GraphModule, nested, with shared quantisers and parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from brevitas.graph.calibrate import bias_correction_mode, calibration_mode
from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize, quantize
from torch import Tensor, nn

from ares.capture import faithful_copy
from tests.extract.models import checked, errors

IMAGE = (1, 2, 8, 6)
TOKENS = (1, 4, 12)


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
            nn.MaxPool2d(2),
        )
        self.head = nn.Linear(6 * 4 * 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.trunk(x), 1))


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU6())
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.drop = nn.Dropout(0.1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.body(x))
        return self.head(self.drop(torch.flatten(self.pool(x), 1)))


class Branches(nn.Module):
    """Graph mode gives the operands of `cat` one quantiser, in proxies of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU())
        self.wide = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU())
        self.last = nn.Conv2d(7, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.near(x), self.wide(x)], dim=1))


class Token(nn.Module):
    """A parameter that functions take, with no layer in between."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.full((1, 1, 12), 0.1))
        self.mix = nn.Linear(12, 5)
        self.out = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.mix(torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)).relu())


@contextmanager
def _observers_cleared(model: nn.Module) -> Iterator[None]:
    yield
    for module in model.modules():
        if hasattr(module, "observer_only"):
            module.observer_only = False


def quantised(
    make: Callable[[], nn.Module], how: Callable[..., nn.Module], shape: tuple[int, ...]
) -> nn.Module:
    torch.manual_seed(3)
    model = make().train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.randn(8, *shape[1:]))
    model = how(preprocess_for_quantize(model.eval()))
    data = [torch.randn(8, *shape[1:]) for _ in range(4)]
    with torch.no_grad(), _observers_cleared(model), calibration_mode(model):
        for batch in data:
            model(batch)
    with torch.no_grad(), bias_correction_mode(model):
        for batch in data:
            model(batch)
    return model.eval()


@pytest.mark.parametrize(
    ("make", "how", "shape"),
    [
        (Nested, quantize, IMAGE),
        (Nested, layerwise_quantize, IMAGE),
        (Residual, quantize, IMAGE),
        (Branches, quantize, IMAGE),
        (Token, layerwise_quantize, TOKENS),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_graph_mode_is_exact(
    make: Callable[[], nn.Module], how: Callable[..., nn.Module], shape: tuple[int, ...]
) -> None:
    model = quantised(make, how, shape)
    if how is layerwise_quantize:
        # It puts no quantiser at the network's end, nor needs one: the last layer's outputs are binary32.
        assert not any("output_quant" in name for name, _ in model.named_children())
    checked(model, shape, c=True, calibrate=False)


def test_a_copy_keeps_every_mode() -> None:
    model = quantised(Nested, quantize, IMAGE)
    assert any(module.training for module in copy.deepcopy(model).modules())
    assert not any(module.training for module in faithful_copy(model).modules())
    model.trunk.train()
    assert _modes(faithful_copy(model)) == _modes(model)


def _modes(model: nn.Module) -> dict[str, bool]:
    return {path: m.training for path, m in model.named_modules(remove_duplicate=False)}


def test_observers_that_calibration_left_are_named() -> None:
    torch.manual_seed(3)
    model = quantize(preprocess_for_quantize(Branches().eval()))
    with torch.no_grad(), calibration_mode(model):
        model(torch.randn(8, *IMAGE[1:]))
    found = errors(model.eval(), IMAGE)
    assert found
    for finding in found:
        assert "observe" in finding.reason
        assert "observer_only = False" in finding.suggestion
