"""Arithmetic with constants, and activations, as people write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ares.fuzzer.sites import Site


class ScaleShift(nn.Module):
    """x * factor + addend in one of the ways that people write it; numbers, or a constant of each channel."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.form = site.word("form", "times plus")
        self.factor: Any = site.real("factor", 1.0)
        self.addend: Any = site.real("addend", 0.0)
        if site.options.get("per_channel", False):
            shape = (1, site.shapes[0][1], *[1] * (len(site.shapes[0]) - 2))
            factors = (site.constants("factors", shape[1]) * 0.5 + 1.0) * self.factor
            addends = (site.constants("addends", shape[1]) * 0.5 + 1.0) * self.addend
            del self.factor, self.addend
            self.register_buffer("factor", factors.reshape(shape))
            self.register_buffer("addend", addends.reshape(shape))

    def forward(self, x: Tensor) -> Any:
        if self.form == "minus divided":
            return (x - self.addend) / self.factor
        if self.form == "from":
            return self.addend - x * self.factor
        return x * self.factor + self.addend


UNARY: Mapping[str, tuple[Callable[[], nn.Module], Callable[[Tensor], Tensor]]] = {
    "relu": (nn.ReLU, F.relu),
    "gelu": (nn.GELU, F.gelu),
    "gelu_tanh": (lambda: nn.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
    "silu": (nn.SiLU, F.silu),
    "sigmoid": (nn.Sigmoid, torch.sigmoid),
    "tanh": (nn.Tanh, torch.tanh),
    "hardswish": (nn.Hardswish, F.hardswish),
    "hardsigmoid": (nn.Hardsigmoid, F.hardsigmoid),
    "mish": (nn.Mish, F.mish),
    "selu": (nn.SELU, F.selu),
    "softsign": (nn.Softsign, F.softsign),
    "log_sigmoid": (nn.LogSigmoid, F.logsigmoid),
    "elu": (lambda: nn.ELU(0.75), lambda x: F.elu(x, 0.75)),
    "celu": (lambda: nn.CELU(1.5), lambda x: F.celu(x, 1.5)),
    "leaky_relu": (lambda: nn.LeakyReLU(0.1), lambda x: F.leaky_relu(x, 0.1)),
    "softplus": (nn.Softplus, F.softplus),
    "relu6": (nn.ReLU6, F.relu6),
    "hardtanh": (lambda: nn.Hardtanh(-0.5, 0.75), lambda x: F.hardtanh(x, -0.5, 0.75)),
    "clamp": (lambda: nn.Hardtanh(-1.0, 2.0), lambda x: x.clamp(-1.0, 2.0)),
    "abs": (lambda: nn.LeakyReLU(-1.0), torch.abs),
}
