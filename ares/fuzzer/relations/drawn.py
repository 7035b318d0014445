"""What pairs of models are made of: layers with drawn weights, in chains and side by side.

Weights are quantised by a scale for each output channel, from that channel's largest weight: a channel has the same
codes and the same scale wherever it stands. A float bias is added before the one rounding, so that no sum is rounded
twice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import numpy as np
import torch
from torch import Tensor, nn

from ares.fuzzer.draws import Draws
from ares.fuzzer.quantizers import activation_quantizer, settle
from ares.fuzzer.weights import units
from ares.nn.quant_tensor import value_of

Part = nn.Module | Callable[[Tensor], Tensor]


class Chain(nn.Module):
    """Modules and functions, one after the other."""

    def __init__(self, *parts: Part) -> None:
        super().__init__()
        self._order: list[str | Callable[[Tensor], Tensor]] = []
        for number, part in enumerate(parts):
            if isinstance(part, nn.Module):
                self.add_module(f"part{number}", part)
                self._order.append(f"part{number}")
            else:
                self._order.append(part)
        self.eval()

    def forward(self, x: Tensor) -> Any:
        for part in self._order:
            x = self.get_submodule(part)(x) if isinstance(part, str) else part(x)
        return x


class Branches(nn.Module):
    """Every part on its share of the channels, put side by side."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        shares = value_of(x).chunk(len(self.parts), 1)
        return torch.cat([part(share) for part, share in zip(self.parts, shares, strict=True)], 1)


class Drawn:
    """What a relation draws: sizes, layers with weights, quantisers, an example."""

    def __init__(self, seed: int, relation: str) -> None:
        self.key = f"ares fuzz/relation {relation}/{seed}"
        self.draws = Draws(self.key)
        self._parameters = 0

    def numbers(self, shape: Sequence[int]) -> Tensor:
        """In (-1, 1), float32."""
        self._parameters += 1
        found = units(f"{self.key}/{self._parameters}", int(np.prod(shape)))
        return torch.from_numpy(found.astype(np.float32).reshape(shape))

    def example(self, *shape: int) -> tuple[Tensor]:
        return (self.numbers((1, *shape)),)

    def quant(self, size: float = 1.0, kind: Any = qnn.QuantIdentity) -> nn.Module:
        """A quantiser whose codes reach about `size`: signed, but for a ReLU's; some with a zero point, or few bits."""
        bits = self.draws.weighted(((8, 70), (4, 15), (6, 15)))
        is_relu = kind is qnn.QuantReLU
        scale = size / 2 ** (bits - 1) * self.draws.choice((1.0, 0.8173828125, 1.25))
        options: dict[str, Any] = {"bits": bits, "signed": not is_relu, "scale": scale}
        if not is_relu and self.draws.chance(30):
            options["zero_point"] = self.draws.between(1, 2**bits - 2)
        module: nn.Module = kind(act_quant=activation_quantizer(options), return_quant_tensor=True)
        settle(module, options)
        return module

    def layer(self, cls: Any, *sizes: int, **options: Any) -> Any:
        """A layer with weights, channels apart by powers of two and a half."""
        layer = cls(
            *sizes, bias=self.draws.chance(70), weight_quant=bq.Int8WeightPerChannelFloat, **options
        )
        is_transposed = getattr(layer, "transposed", False)
        shape = layer.weight.shape
        spread = self.numbers([shape[1] if is_transposed else shape[0]])
        spread = torch.exp2((spread * 2.0).round()) * (1.0 + (spread > 0.3) / 2.0)
        along = (1, -1) if is_transposed else (-1,)
        with torch.no_grad():
            layer.weight.copy_(
                self.numbers(shape) * spread.reshape(*along, *[1] * (len(shape) - len(along)))
            )
            if layer.bias is not None:
                layer.bias.copy_(self.numbers(layer.bias.shape))
        return layer


def with_parameters(layer: Any, weight: Tensor, bias: Tensor | None = None) -> Any:
    """A copy of a layer with other parameters of the same shapes."""
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight.copy_(weight)
        if other.bias is not None and bias is not None:
            other.bias.copy_(bias)
    return other


def with_rows(layer: Any, order: Sequence[int]) -> Any:
    """The layer with its output channels in this order."""
    places = list(order)
    bias = None if layer.bias is None else layer.bias[places]
    return with_parameters(layer, layer.weight[places], bias)


class Joined(nn.Module):
    """Layers side by side, each with a quantiser of its own, joined: first the first two, or all at once."""

    def __init__(
        self,
        front: nn.Module,
        layers: Sequence[nn.Module],
        quants: Sequence[nn.Module],
        inner: nn.Module | None,
        outer: nn.Module,
    ) -> None:
        super().__init__()
        self.front, self.inner, self.outer = front, inner, outer
        self.layers, self.quants = nn.ModuleList(layers), nn.ModuleList(quants)

    def forward(self, x: Tensor) -> Any:
        x = self.front(x)
        parts = [q(layer(x)) for layer, q in zip(self.layers, self.quants, strict=True)]
        return self.outer(parts if self.inner is None else [self.inner(parts[:2]), parts[2]])
