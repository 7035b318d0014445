"""Models that make it hard to record them, each with the nodes that it must record, and what they are made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from brevitas.quant import Int8ActPerTensorFloat, Int32Bias
from brevitas.quant_tensor import QuantTensor
from torch import nn


def quantize() -> qnn.QuantIdentity:
    return qnn.QuantIdentity(return_quant_tensor=True)


def conv(inputs: int, outputs: int, size: int = 3) -> qnn.QuantConv2d:
    return qnn.QuantConv2d(inputs, outputs, size, padding=size // 2, bias_quant=Int32Bias)


def linear(inputs: int, outputs: int) -> qnn.QuantLinear:
    return qnn.QuantLinear(inputs, outputs, input_quant=Int8ActPerTensorFloat, bias_quant=Int32Bias)


def calibrated(model: nn.Module, *shapes: tuple[int, ...]) -> nn.Module:
    """The model with all activation scales and batch statistics observed, in evaluation mode."""
    generator = torch.Generator().manual_seed(11)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*(torch.randn(shape, generator=generator) for shape in shapes))
    return model.eval()


def noise(shapes: Sequence[tuple[int, ...]], seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv, self.act = (
            quantize(),
            conv(4, 4),
            qnn.QuantReLU(return_quant_tensor=True),
        )

    def forward(self, x: torch.Tensor) -> Any:
        return self.act(self.conv(self.act(self.conv(self.inp(x)))))


class Reversed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.third, self.second, self.first = linear(5, 3), qnn.QuantReLU(), linear(6, 5)

    def forward(self, x: torch.Tensor) -> Any:
        return self.third(self.second(self.first(x)))


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(linear(6, 6) for _ in range(3))
        self.gates = nn.ModuleDict({"a": qnn.QuantReLU(), "b": qnn.QuantIdentity()})

    def forward(self, x: torch.Tensor) -> Any:
        for block, gate in zip(reversed(self.blocks), ("a", "b", "a"), strict=True):
            x = self.gates[gate](block(x))
        return x


def nested() -> nn.Module:
    body = nn.Sequential(quantize(), nn.Sequential(conv(3, 5), nn.Sequential(qnn.QuantReLU())))
    return nn.Sequential(body, nn.Dropout(0.3), nn.Flatten(), nn.Identity(), linear(80, 4))


class Functional(nn.Module):
    """q + q and torch.cat on QuantTensors of one scale, subtraction both ways, a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv, self.act, self.fc = quantize(), conv(2, 2), quantize(), linear(4, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.inp(x)
        y = self.inp(self.conv(x))
        z = torch.cat([self.act(x + y), self.act(1 - y.value * x.value)], dim=1)
        return self.fc(2 / (z.value.abs() + 3) - F.relu(z).value).mean((2,)), 2 ** x[0].mean(dim=-1)


class Asks(nn.Module):
    """The wrong branch would be taken by a tracer whose proxies have every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.inp, self.fc = quantize(), linear(6, 4)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.inp(x)
        if hasattr(x, "value") or not isinstance(y, QuantTensor):
            return self.fc(x * 2)
        return self.fc(y.value if hasattr(y, "value") else y) + y.scale


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = linear(6, 4), linear(5, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
        a, b = self.a(x), self.b(y)
        return {"sum": a + b, "none": None, "parts": [b, {"a": a}], "width": 4}


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.act = linear(6, 6), qnn.QuantSigmoid()

    def forward(self, x: torch.Tensor, *, gate: torch.Tensor, options: dict[str, Any]) -> Any:
        return self.act(input=self.fc(x)) * gate + options["bias"]


class Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.attend = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        y = self.gate(gate=x, x=x, options={"bias": x})
        return self.attend(query=y, key=x, value=x, need_weights=False)[0]


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.conv = quantize(), conv(3, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.inp(x)
        return x + self.inp(self.conv(x))


class Composite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(quantize(), nn.MaxPool2d(2))
        self.blocks = nn.Sequential(Residual(), Residual())

    def forward(self, x: torch.Tensor) -> Any:
        return self.blocks(self.stem(x))


class Table(nn.Module):
    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.table = weight

    def forward(self, x: torch.Tensor) -> Any:
        return F.linear(x, self.table)


class Tied(nn.Module):
    """The float weight under a second name is a constant of the model, not the layer bypassed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = linear(6, 6), linear(6, 6)
        self.second.weight = self.first.weight
        self.head = Table(self.first.weight)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.second(self.first(x)))


class Shapes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.fc = quantize(), linear(12, 4)

    def forward(self, x: torch.Tensor) -> Any:
        assert x.dim() == 4
        assert x.shape[1:] == torch.Size([3, 4, 4]), "shape"
        batch, channels, height, width = x.size()
        if width > 2 and x.dtype == torch.float32 and not x.is_complex() and len(x) == batch:
            x = self.inp(x).view(batch, channels, -1)
        y = x.permute(0, 2, 1).reshape(batch, height, -1)
        return self.fc(y.value).transpose(1, 2).flatten(1) * (1.0 / width)


class Pieces(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inp, self.fc = qnn.QuantIdentity(), linear(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        a, b, c = self.inp(x).chunk(3, dim=1)
        d, e = torch.split(b, [1, 3], dim=1)
        low, high = self.fc(a).T.tensor_split(2)
        top = (x.max(dim=1).values - torch.stack(c.unbind(1)).sum(0)).unsqueeze(-1)
        return self.fc(c)[:, 1:3] + d - e[..., ::2] + top, low * high


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.linspace(-1, 1, 20).reshape(1, 4, 5))
        self.register_buffer("token", torch.linspace(0, 1, 5).reshape(1, 1, 5))
        self.quant, self.fc = qnn.QuantIdentity(), linear(5, 3)

    def forward(self, x: torch.Tensor) -> Any:
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), 1) + self.quant(self.pos_embed)
        steps = torch.arange(x.shape[1], dtype=x.dtype)[None, :, None]
        return self.fc(x.detach() * steps + torch.zeros(5))


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = linear(6, 4), linear(6, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.a(x) if x.sum() > 0 else self.b(x)


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.fc = conv(2, 2), nn.ReLU(inplace=True), linear(4, 4)
        self.inp = quantize()

    def forward(self, x: torch.Tensor) -> Any:
        x += 1
        y = self.relu(self.conv(self.inp(x)))
        y.mul_(x).clamp_(min=-2)
        y[:, 0] = 0
        y[..., -1:] = x[..., :1]
        z = torch.zeros_like(y)
        torch.add(y, x, out=z)
        return F.relu(self.fc(z), inplace=True)


class Starred(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = linear(6, 4)

    def forward(self, *args: torch.Tensor, **kwargs: Any) -> Any:
        return tuple(sum((self.fc(t) for t in args), start=kwargs.get("start", 1.0)) for _ in args)


FUNCTIONAL_NODES = """input:0 inp#0 conv#0 inp#1 :add#0 act#0 :mul#0 :rsub#0 act#1 :cat#0 :abs#0 :add#1 :rdiv#0
    :relu#0 :sub#0 fc#0 :mean#0 :mean#1 :rpow#0"""

# name: model, shapes of its inputs, the nodes it must record in this order
MODELS: dict[str, tuple[Callable[[], nn.Module], list[tuple[int, ...]], str]] = {
    "shared module": (Shared, [(2, 4, 5, 5)], "input:0 inp#0 conv#0 act#0 conv#1 act#1"),
    "reversed registration": (Reversed, [(2, 6)], "input:0 first#0 second#0 third#0"),
    "ModuleList": (
        Listed,
        [(2, 6)],
        "input:0 blocks.2#0 gates.a#0 blocks.1#0 gates.b#0 blocks.0#0 gates.a#1",
    ),
    "nested Sequential": (
        nested,
        [(2, 3, 4, 4)],
        "input:0 0.0#0 0.1.0#0 0.1.1.0#0 1#0 2#0 3#0 4#0",
    ),
    "functional": (Functional, [(3, 2, 4, 4)], FUNCTIONAL_NODES),
    "hasattr": (Asks, [(2, 6)], "input:0 inp#0 fc#0 constant:inp#0.scale :add#0"),
    "two inputs, dict output": (TwoInputs, [(2, 6), (2, 5)], "input:0 input:1 a#0 b#0 :add#0"),
    "keywords": (
        Keywords,
        [(2, 3, 6)],
        "input:0 gate.fc#0 gate.act#0 gate:mul#0 gate:add#0 attend#0",
    ),
    "composite": (
        Composite,
        [(2, 3, 6, 6)],
        "input:0 stem.0#0 stem.1#0 blocks.0.inp#0 blocks.0.conv#0 blocks.0.inp#1 blocks.0:add#0 "
        "blocks.1.inp#0 blocks.1.conv#0 blocks.1.inp#1 blocks.1:add#0",
    ),
    "tied weight": (Tied, [(2, 6)], "input:0 first#0 second#0 constant:head.table head:linear#0"),
    "size, shape, assert": (
        Shapes,
        [(2, 3, 4, 4)],
        "input:0 inp#0 :view#0 :permute#0 :reshape#0 fc#0 :transpose#0 :flatten#0 :mul#0",
    ),
    "chunk, split, slice": (
        Pieces,
        [(2, 12)],
        "input:0 inp#0 :chunk#0 :split#0 fc#0 :T#0 :tensor_split#0 :max#0 :unbind#0 :stack#0 :sum#0 :sub#0 "
        ":unsqueeze#0 fc#1 :__getitem__#0 :add#0 :__getitem__#1 :sub#1 :add#1 :mul#0",
    ),
    "pos_embed, expanded buffer": (
        Positions,
        [(2, 3, 5)],
        "input:0 constant:token :expand#0 :cat#0 constant:pos_embed quant#0 :add#0 :arange#0 "
        ":__getitem__#0 :detach#0 :mul#0 :zeros#0 :add#1 fc#0",
    ),
    "data-dependent if": (Branches, [(2, 6)], "input:0 a#0"),
    "in-place": (
        InPlace,
        [(3, 2, 4, 4)],
        "input:0 :add#0 inp#0 conv#0 relu#0 :mul#0 :clamp#0 :__setitem__#0 :__getitem__#0 "
        ":__setitem__#1 :zeros_like#0 :add#1 fc#0 :relu#0",
    ),
    "*args, **kwargs": (
        Starred,
        [(2, 6), (2, 6)],
        "input:0 input:1 fc#0 :add#0 fc#1 :add#1 fc#2 :add#2 fc#3 :add#3",
    ),
}


class Doubled(qnn.QuantLinear):
    def forward(self, input: Any) -> Any:
        return super().forward(input) * 2


class Applies(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: torch.Tensor) -> Any:
        return self.function(*args)


@functools.cache
def scripted_tanh() -> Any:
    return torch.jit.trace(nn.Tanh(), torch.zeros(2, 4))


class Holder(nn.Module):
    """Layers, a buffer and a plain attribute for the functions of `FAULTS`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function
        self.inp, self.fc, self.drop = quantize(), linear(4, 4), nn.Dropout(0.5)
        self.doubled, self.relu = Doubled(4, 4), nn.ReLU(inplace=True)
        self.listed = [nn.Linear(4, 4)]
        self.register_buffer("count", torch.zeros(4))
        self.plain = torch.full((4,), 2.0)
        self.scripted = scripted_tanh()

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self, x)
