"""Small Brevitas models in a session, and one target to judge them on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from brevitas.graph.calibrate import calibration_mode
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import Tensor, nn

from ares.nn import QuantAdd
from tests.extract.models import fast_target, seeded

TARGET = fast_target().name


class Pooled(nn.Module):
    """[B, 1, 8, 8] -> [B, 10]: convolution, pooling, logits in binary32."""

    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.conv = QuantConv2d(1, 4, 3, padding=1)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.pool = nn.MaxPool2d(2)
        self.fc = QuantLinear(64, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(self.quant_in(x))))
        return self.fc(torch.flatten(x, 1))


class Sum(nn.Module):
    """Two inputs of the same shape [B, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.quant_x, self.quant_y = QuantIdentity(), QuantIdentity()
        self.add = QuantAdd()
        self.fc = QuantLinear(4, 3, bias=True)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.fc(self.add(self.quant_x(x), self.quant_y(y)))


class Words(nn.Module):
    """[B, 5] token ids below 7 -> [B, 5, 3]."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.quant = QuantIdentity(return_quant_tensor=True)
        self.fc = QuantLinear(4, 3, bias=True)

    def forward(self, ids: Tensor) -> Tensor:
        return self.fc(self.quant(self.table(ids)))


def calibrated(make: Callable[[], nn.Module], *inputs: Tensor) -> nn.Module:
    """The model, in evaluation mode, with the same weights whatever ran before."""
    model = seeded(make).eval()
    with torch.no_grad(), calibration_mode(model):
        model(*inputs)
    return model


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7))
