"""How models are built: containers, loops, sharing, order, names, branches that lead nowhere."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ares.extract import Status, analyse, extract
from ares.ir import save_graph
from ares.nn import Conv2d, QuantAdd, ResidualBlock
from tests.extract.models import (
    IMAGE,
    Net,
    Shape,
    calibrated,
    checked,
    conv,
    identity,
    linear,
    plain_identity,
    relu,
    seeded,
)


class Block(nn.Module):
    """A user's composite: forward uses what was registered last first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out = relu()
        self.layers = nn.ModuleList(conv(channels, channels, padding=1) for _ in range(2))
        self.middle = relu(bit_width=5)

    def forward(self, x: Any) -> Any:
        return self.out(self.layers[1](self.middle(self.layers[0](x))))


class SmallPool(nn.MaxPool2d):
    """A user's subclass that only sets defaults."""

    def __init__(self) -> None:
        super().__init__(2)


def _loop(m: Any, x: Any) -> Any:
    y = m.q(x)
    for layer in m.layers:
        y = m.r(layer(y))
    return y


def _while_large(m: Any, x: Any) -> Any:
    y = m.q(x)
    while y.shape[-1] > 2:
        y = F.max_pool2d(y, (1, 2))
    assert y.dim() == 4
    return m.r(m.c(y)) if hasattr(m, "c") else y


# Model -> names of the Graph's operations.
MODELS: dict[str, tuple[Callable[[], nn.Module], list[str], Shape]] = {
    "nested Sequential, Identity, Dropout": (
        lambda: nn.Sequential(
            identity(),
            nn.Sequential(conv(2, 3), nn.Identity(), relu()),
            nn.Dropout(0.5),
            nn.Sequential(nn.Sequential(nn.Dropout2d(), conv(3, 2)), relu()),
        ),
        ["0", "1.0", "3.0.1"],
        IMAGE,
    ),
    "loop over a ModuleList, one activation": (
        lambda: Net(
            _loop,
            q=identity(),
            r=relu(),
            layers=nn.ModuleList(conv(2, 2, padding=1) for _ in range(3)),
        ),
        ["q", "layers.0", "layers.1", "layers.2"],
        IMAGE,
    ),
    "shapes decide": (
        lambda: Net(_while_large, q=plain_identity(), c=conv(2, 2, 1), r=relu()),
        ["q", "max_pool2d", "c"],
        IMAGE,
    ),
    "registered in reverse": (
        lambda: Net(
            lambda m, x: m.a(m.b(m.c(m.d(x)))), a=relu(), b=conv(3, 2), c=Block(3), d=_head()
        ),
        ["d.0", "d.1", "c.layers.0", "c.layers.1", "b"],
        IMAGE,
    ),
    "one composite twice": (
        lambda: Net(lambda m, x: m.b(m.b(m.q(x))), q=identity(), b=Block(2)),
        ["q", "b.layers.0", "b.layers.1", "b.layers.0#1", "b.layers.1#1"],
        IMAGE,
    ),
    "ares.nn, and users' subclasses": (
        lambda: nn.Sequential(identity(), Conv2d(2, 3, 2), relu(), SmallPool(), ResidualBlock(3)),
        ["0", "1", "3", "4.conv1", "4.conv2", "4.add", "4.relu2"],
        (1, 2, 7, 7),
    ),
    "keyword arguments": (
        lambda: Net(
            lambda m, x: m.a(x1=m.q(input=x), x2=m.r(input=m.q(input=x))),
            q=identity(),
            r=relu(),
            a=QuantAdd(),
        ),
        ["q", "q#1", "r", "a"],
        IMAGE,
    ),
    "layers called input and model": (
        lambda: Net(
            lambda m, x: m.model(m.c(m.input(x))), input=identity(), c=conv(2, 2), model=relu()
        ),
        ["input", "c"],
        IMAGE,
    ),
    "a single layer": (
        lambda: linear(5, 3, input_quant=bq.Int8ActPerTensorFloat),
        ["input_quant", "."],
        IMAGE,
    ),
}


def _head() -> nn.Module:
    return nn.Sequential(identity(), conv(2, 3), relu())


@pytest.mark.parametrize("case", MODELS)
def test_models(case: str) -> None:
    make, expected, shape = MODELS[case]
    graph = checked(seeded(make), shape, c=case in ("one composite twice", "a single layer"))
    assert [operation.name for operation in graph.operations] == expected


def test_weights_that_two_layers_share() -> None:
    def make() -> nn.Module:
        model: Any = Net(
            lambda m, x: m.r(m.d(m.r(m.c(m.q(x))))),
            q=identity(),
            c=conv(2, 2),
            d=conv(2, 2),
            r=relu(),
        )
        model.d.weight = model.c.weight
        return model

    graph = checked(seeded(make), IMAGE)
    first, second = (getattr(operation, "weight", None) for operation in graph.operations[1:])
    assert first.tobytes() == second.tobytes()


def _dead(m: Any, x: Any) -> Any:
    y = m.q(x)
    m.unused(y)  # a layer
    F.gelu(y.value)  # a function
    m.q2(y)  # a quantiser, which is counted
    m.q2(m.odd(m.unused(y)))  # what cannot be mapped, and the same quantiser behind it
    return m.q2(m.c(m.q2(y)))


def test_branches_that_lead_nowhere_are_left_out() -> None:
    def make() -> nn.Module:
        return Net(
            _dead,
            q=identity(),
            q2=identity(bit_width=3),
            unused=conv(2, 2),
            c=conv(2, 2),
            odd=nn.Softshrink(),
            never_called=nn.LSTM(2, 2),
        )

    model = seeded(make)
    graph = checked(model, IMAGE)
    assert [operation.name for operation in graph.operations] == ["q", "q2#2", "c"]
    findings = analyse(model, [torch.zeros(IMAGE)], "net").findings
    unused = [finding for finding in findings if finding.layer == "odd"]
    assert [finding.status for finding in unused] == [Status.WARNING]
    assert "not used" in unused[0].reason


def test_dropout_is_left_out_with_a_warning() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.d(F.dropout(m.q(x), training=m.training)),
            q=plain_identity(),
            d=nn.Dropout(),
        )
    )
    graph = checked(model, IMAGE)
    assert [operation.name for operation in graph.operations] == ["q"]
    findings = analyse(model, [torch.zeros(IMAGE)], "net").findings
    warnings = [finding for finding in findings if finding.status is Status.WARNING]
    assert [finding.layer for finding in warnings] == ["dropout", "d"]
    assert all(finding.suggestion == "remove it for inference graphs" for finding in warnings)


# Names that mean something to C, to the build or to the generated project.
NAMES = ["main", "int", "trace", "7 nets-x", "ares_execute"]


@pytest.mark.parametrize("name", NAMES)
def test_networks_of_any_name(name: str) -> None:
    model = Net(lambda m, x: m.fc(m.q(x)), q=identity(), fc=linear(3, 2))
    checked(model, (1, 3), c=True, name=name)


def test_layers_of_any_name() -> None:
    """`a.b`, `a_b` and `a_b_` are one name in C."""

    def make() -> nn.Module:
        signed = {"output_quant": bq.Int8ActPerTensorFloat, "return_quant_tensor": True}
        names = ("int", "main", "a_b_", "a_b", "0")
        layers = {name: conv(2, 2, 1, **signed) for name in names}
        layers["a"] = nn.ModuleDict({"b": conv(2, 2, 1, **signed)})

        def forward(m: Any, x: Any) -> Any:
            y = m.q(x)
            for name in (*names, "a.b"):
                y = m.get_submodule(name)(y)
            return y

        return Net(forward, q=identity(), **layers)

    graph = checked(seeded(make), (1, 2, 2, 2), c=True)
    assert [operation.name for operation in graph.operations[1:]] == [
        *("int", "main", "a_b_", "a_b", "0", "a.b")
    ]


def test_the_model_is_left_as_it_was_and_the_graph_is_the_same_again() -> None:
    model: Any = calibrated(seeded(lambda: MODELS["one composite twice"][0]()), IMAGE)
    before = copy.deepcopy(model.state_dict())
    inputs = [torch.ones(IMAGE)]
    first = save_graph(extract(model, inputs, "net"))
    with torch.no_grad():
        model(*inputs)
    assert save_graph(extract(model, inputs, "net")) == first
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not model.training
    assert all(parameter.dtype is torch.float32 for parameter in model.parameters())


def test_the_example_does_not_matter() -> None:
    """Neither its values nor its batch: only its shape."""
    model = calibrated(seeded(lambda: MODELS["ares.nn, and users' subclasses"][0]()), (1, 2, 7, 7))
    examples: list[Tensor] = [
        torch.zeros(1, 2, 7, 7),
        torch.full((3, 2, 7, 7), 1e6),
        torch.randn(2, 7, 7, 2).permute(0, 3, 1, 2),
    ]
    graphs = [save_graph(extract(model, [example], "net")) for example in examples]
    assert graphs[0] == graphs[1] == graphs[2]
