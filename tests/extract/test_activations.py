"""ReLU and GELU in every spelling, on codes and before a quantiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from tests.extract.models import (
    IMAGE,
    Net,
    checked,
    conv,
    identity,
    kinds,
    plain_identity,
    relu,
    seeded,
)


def _in_place(y: Any) -> Any:
    return F.relu_(y)


RELUS: dict[str, Callable[..., Any]] = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "method": lambda y: y.relu(),
    "in place": _in_place,
    "F.relu, inplace=True": lambda y: F.relu(y, inplace=True),
}

SOURCES: dict[str, dict[str, Any]] = {
    "s8": {},
    "s4": {"bit_width": 4},
    "u8": {"act_quant": bq.Uint8ActPerTensorFloat},
    "zero point": {"act_quant": ShiftedUint8ActPerTensorFloat},
}


@pytest.mark.parametrize(
    ("spelling", "source"),
    [("nn.ReLU", source) for source in SOURCES]
    + [(spelling, "zero point") for spelling in RELUS if spelling != "nn.ReLU"],
)
def test_relu_of_codes_keeps_their_scale(spelling: str, source: str) -> None:
    function = RELUS[spelling]
    layers = {"f": function} if isinstance(function, nn.Module) else {}
    model = Net(lambda m, x: function(m.q(x)), q=plain_identity(**SOURCES[source]), **layers)
    graph = checked(model, IMAGE, c=spelling == "nn.ReLU" and source == "zero point")
    before, after = graph.tensor("q"), graph.tensor(graph.outputs[0])
    assert kinds(graph) == ["quantize", *([] if source == "u8" else ["relu"])]
    assert (after.scale, after.zero_point) == (before.scale, before.zero_point)
    assert after.lo == before.zero_point


@pytest.mark.parametrize("spelling", RELUS)
def test_relu_before_a_quantizer_joins_the_layer(spelling: str) -> None:
    function = RELUS[spelling]
    layers = {"f": function} if isinstance(function, nn.Module) else {}
    model = seeded(
        lambda: Net(
            lambda m, x: m.q2(function(m.c(m.q(x)))),
            q=plain_identity(),
            c=conv(2, 3),
            q2=identity(),
            **layers,
        )
    )
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "conv2d"]
    assert graph.tensor("c").lo == 0


def test_relu_twice_is_relu() -> None:
    model = Net(lambda m, x: F.relu(F.relu(m.q(x)).flatten(1)), q=plain_identity())
    assert kinds(checked(model, IMAGE)) == ["quantize", "relu", "flatten"]


def test_an_in_place_relu_changes_what_others_read() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        z = m.r(y)  # y itself is now not negative
        return m.q2(z + y)

    model = Net(forward, q=plain_identity(), r=nn.ReLU(inplace=True), q2=identity())
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "relu", "add"]
    assert graph.operations[2].inputs == ("r", "r")


GELUS: dict[str, Callable[..., Any]] = {
    "nn.GELU": nn.GELU(),
    "nn.GELU, tanh": nn.GELU("tanh"),
    "F.gelu": F.gelu,
    "F.gelu, tanh": lambda y: F.gelu(y, approximate="tanh"),
    "gelu, relu": lambda y: F.relu(F.gelu(y)),
    "gelu, maximum": lambda y: F.max_pool2d(F.gelu(y), 2),
    "maximum, gelu": lambda y: F.gelu(F.max_pool2d(y, 2)),
    "relu, gelu": lambda y: F.gelu(F.relu(y)),
}
TARGETS: dict[str, Callable[[], nn.Module]] = {
    "s8": identity,
    "s3": lambda: identity(bit_width=3),
    "zero point": lambda: identity(act_quant=ShiftedUint8ActPerTensorFloat),
    "QuantReLU": relu,
}


@pytest.mark.parametrize(
    ("spelling", "target"),
    [("nn.GELU", target) for target in TARGETS]
    + [(spelling, "zero point") for spelling in GELUS if spelling != "nn.GELU"],
)
def test_gelu_of_codes_is_a_table(spelling: str, target: str) -> None:
    function = GELUS[spelling]
    layers = {"f": function} if isinstance(function, nn.Module) else {}
    model = Net(
        lambda m, x: m.q2(function(m.q(x))), q=plain_identity(), q2=TARGETS[target](), **layers
    )
    graph = checked(model, IMAGE, c=target == "zero point" and "maximum" in spelling)
    expected = {
        "gelu, maximum": ["gelu", "max_pool2d"],
        "maximum, gelu": ["max_pool2d", "gelu"],
        "relu, gelu": ["relu", "gelu"],
    }
    assert kinds(graph) == ["quantize", *expected.get(spelling, ["gelu"])]


@pytest.mark.parametrize("spelling", ["nn.GELU", "nn.GELU, tanh", "F.gelu, tanh", "gelu, relu"])
def test_gelu_before_a_quantizer_joins_the_layer(spelling: str) -> None:
    function = GELUS[spelling]
    layers = {"f": function} if isinstance(function, nn.Module) else {}
    model = seeded(
        lambda: Net(
            lambda m, x: m.q2(function(m.c(m.q(x)))),
            q=plain_identity(),
            c=conv(2, 3, bias=True),
            q2=identity(),
            **layers,
        )
    )
    assert kinds(checked(model, IMAGE)) == ["quantize", "conv2d"]
