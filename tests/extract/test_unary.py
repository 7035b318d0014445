"""SiLU, Sigmoid, Tanh, ELU, Hardswish, LeakyReLU, Softplus: on codes, behind layers, composed, inside quantisers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.nn.activations import QuantSiLU
from tests.extract.brevitas_versions import BEFORE_0_13
from tests.extract.models import (
    IMAGE,
    TOKENS,
    Net,
    calibrated,
    checked,
    conv,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    relu,
    seeded,
    set_scale,
)
from tests.slow import one_in

# Spelling -> (function or layer, the operation that serves codes).
SPELLINGS: dict[str, tuple[Callable[..., Any], str]] = {
    "nn.SiLU": (nn.SiLU(), "silu"),
    "nn.SiLU in place": (nn.SiLU(inplace=True), "silu"),
    "F.silu": (F.silu, "silu"),
    "F.silu, inplace=True": (lambda y: F.silu(y, inplace=True), "silu"),
    "nn.Sigmoid": (nn.Sigmoid(), "activation"),
    "torch.sigmoid": (torch.sigmoid, "activation"),
    "method sigmoid": (lambda y: y.sigmoid(), "activation"),
    "F.sigmoid": (F.sigmoid, "activation"),
    "nn.Tanh": (nn.Tanh(), "activation"),
    "torch.tanh": (torch.tanh, "activation"),
    "in place tanh": (lambda y: y.tanh_(), "activation"),
    "nn.ELU": (nn.ELU(), "activation"),
    "nn.ELU, alpha": (nn.ELU(alpha=0.5), "activation"),
    "F.elu": (lambda y: F.elu(y, 2.5), "activation"),
    "F.elu, alpha below zero": (lambda y: F.elu(y, alpha=-0.75), "activation"),
    "nn.Hardswish": (nn.Hardswish(), "activation"),
    "F.hardswish": (F.hardswish, "activation"),
    "nn.LeakyReLU": (nn.LeakyReLU(), "activation"),
    "F.leaky_relu": (lambda y: F.leaky_relu(y, 0.25), "activation"),
    "abs": (torch.abs, "activation"),
    "x.absolute()": (lambda y: y.absolute(), "activation"),
    "F.leaky_relu, slope below zero": (lambda y: F.leaky_relu(y, -0.3), "activation"),
    "nn.Softplus": (nn.Softplus(), "activation"),
    "nn.Softplus, beta": (nn.Softplus(beta=2.0, threshold=3.0), "activation"),
    "F.softplus": (lambda y: F.softplus(y, beta=5, threshold=1), "activation"),
    "F.softplus, beta below zero": (lambda y: F.softplus(y, beta=-2.0, threshold=2), "activation"),
    "times a number": (lambda y: y * 0.3, "requantize"),
    "a number times": (lambda y: 3 * y, "requantize"),
}
TARGETS: dict[str, Callable[[], nn.Module]] = {
    "s8": identity,
    "s3": lambda: identity(bit_width=3),
    "zero point": lambda: identity(act_quant=ShiftedUint8ActPerTensorFloat),
    "u8": lambda: identity(act_quant=bq.Uint8ActPerTensorFloat),
    "QuantReLU": relu,
}


def _layers(function: Callable[..., Any]) -> dict[str, nn.Module]:
    return {"f": function} if isinstance(function, nn.Module) else {}


@pytest.mark.parametrize(
    ("spelling", "target"),
    one_in(
        3,
        [(spelling, "zero point") for spelling in SPELLINGS]
        + [("nn.SiLU", target) for target in TARGETS if target != "zero point"],
    ),
)
def test_of_codes_it_is_a_table(spelling: str, target: str) -> None:
    function, stem = SPELLINGS[spelling]
    model = Net(
        lambda m, x: m.q2(function(m.q(x))),
        q=plain_identity(),
        q2=TARGETS[target](),
        **_layers(function),
    )
    graph = checked(model, IMAGE, c=spelling in ("nn.SiLU", "nn.Softplus"))
    assert kinds(graph) == ["quantize", stem]


@pytest.mark.parametrize("spelling", one_in(3, SPELLINGS))
def test_before_a_quantizer_it_joins_the_layer(spelling: str) -> None:
    function, _ = SPELLINGS[spelling]
    model = seeded(
        lambda: Net(
            lambda m, x: m.q2(function(m.c(m.q(x)))),
            q=plain_identity(),
            c=conv(2, 3, bias=True, weight_quant=bq.Int8WeightPerChannelFloat),
            q2=identity(act_quant=ShiftedUint8ActPerTensorFloat),
            **_layers(function),
        )
    )
    graph = checked(model, IMAGE, c=spelling in ("nn.SiLU", "nn.Softplus, beta"))
    assert kinds(graph) == ["quantize", "conv2d"]


@pytest.mark.parametrize(
    ("name", "forward", "stems"),
    [
        ("gelu of gelu", lambda y: F.gelu(F.gelu(y)), []),
        ("gelu of relu", lambda y: F.gelu(F.relu(y)), []),
        ("silu of tanh", lambda y: F.silu(torch.tanh(y)), []),
        ("hardswish of silu", lambda y: F.hardswish(3 * F.silu(y * 4)), []),
        ("sigmoid of elu, turned", lambda y: torch.sigmoid(F.elu(y, -0.5)), []),
        ("softplus, relu", lambda y: F.relu(F.softplus(y)), []),
        ("maximum, sigmoid", lambda y: torch.sigmoid(F.max_pool2d(y, 2)), ["max_pool2d"]),
        ("padding, silu", lambda y: F.silu(F.pad(y, (1, 0, 2, 0))), ["zero_pad2d"]),
        ("permute, silu", lambda y: F.silu(y.permute(0, 1, 3, 2)), ["permute"]),
    ],
)
def test_composed(name: str, forward: Callable[..., Any], stems: list[str]) -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.q2(forward(m.c(m.q(x)))),
            q=plain_identity(),
            c=conv(2, 3, bias=True, weight_quant=bq.Int8WeightPerChannelFloat),
            q2=identity(),
        )
    )
    assert kinds(checked(model, IMAGE)) == ["quantize", "conv2d", *stems]


@pytest.mark.parametrize("function", ["silu", "sigmoid", "tanh", "elu", "softplus"])
def test_of_averages(function: str) -> None:
    """Averages over 6 and 3 codes have ties, and a power of two for a scale keeps them."""
    apply = getattr(F, function)

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        return m.q2(apply(F.avg_pool2d(y, (3, 2)))), m.q3(apply(y.mean((2, 3))))

    model = Net(
        forward,
        q=plain_identity(act_quant=bq.Int8ActPerTensorFixedPoint),
        q2=identity(act_quant=bq.Int8ActPerTensorFixedPoint),
        q3=identity(act_quant=bq.Int8ActPerTensorFixedPoint),
    )
    assert kinds(checked(model, IMAGE)) == ["quantize", "avg_pool2d", "mean"]


@pytest.mark.parametrize(
    "layer",
    [
        qnn.QuantSigmoid,
        qnn.QuantTanh,
        # Brevitas 0.12 has no QuantHardSwish.
        *([] if BEFORE_0_13 else [qnn.QuantHardSwish]),
    ],
)
@pytest.mark.parametrize("before", ["codes", "layer"])
def test_inside_a_quantizer(layer: Callable[..., nn.Module], before: str) -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.a(m.q(x) if before == "codes" else m.fc(m.q(x))),
            q=plain_identity(),
            fc=linear(6, 5, weight_quant=bq.Int8WeightPerChannelFloat),
            a=layer(return_quant_tensor=True),
        )
    )
    expected = "activation" if before == "codes" else "linear"
    assert kinds(checked(model, TOKENS, c=True)) == ["quantize", expected]


def test_inside_a_quantizer_that_is_switched_off() -> None:
    model = Net(
        lambda m, x: m.q2(m.a(m.q(x))),
        q=plain_identity(),
        a=qnn.QuantTanh(act_quant=None),
        q2=identity(),
    )
    assert kinds(checked(model, TOKENS)) == ["quantize", "activation"]


@pytest.mark.filterwarnings("ignore:Keyword arguments are being passed but they not being used")
def test_a_shared_proxy_applies_its_owners_function() -> None:
    owner = qnn.QuantSigmoid()
    shared = identity(act_quant=owner.act_quant)
    model = Net(lambda m, x: (m.s(m.q(x)), m.i(m.r(x))), q=identity(), r=relu(), s=owner, i=shared)
    assert kinds(checked(model, TOKENS)) == ["quantize", "activation", "quantize", "activation"]


def test_quant_silu_of_codes_and_behind_a_layer() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.b(m.fc(m.a(m.q(x)))),
            q=identity(),
            a=QuantSiLU(),
            fc=linear(6, 5),
            b=QuantSiLU(bit_width=4),
        )
    )
    graph = checked(model, TOKENS, c=True)
    assert kinds(graph) == ["quantize", "silu", "linear"]
    assert [operation.name for operation in graph.operations] == ["q", "a", "fc"]
    assert graph.tensor("fc").hi == 7


def test_steps_of_time_from_small_to_large() -> None:
    """Softplus behind a linear layer, as Mamba has it: its codes mean 0.001 to 0.1."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.dt(F.softplus(m.fc(m.q(x)))),
            q=identity(),
            fc=linear(6, 32, weight_quant=bq.Int8WeightPerChannelFloat),
            dt=qnn.QuantIdentity(act_quant=bq.Uint8ActPerTensorFloat),
        )
    )
    steps = torch.exp(torch.linspace(-6.9, -2.3, 32))
    model.fc.bias.data = torch.log(torch.expm1(steps))
    with torch.no_grad():
        model.fc.weight *= 0.3
    graph = checked(model, TOKENS, c=True)
    scale = graph.tensor("fc").scale
    assert scale is not None
    assert scale < 1 / 255


def test_one_code_for_every_input() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.q2(F.silu(m.fc(m.q(x)))),
            q=plain_identity(),
            fc=linear(6, 5, weight_quant=bq.Int8WeightPerChannelFloat),
            q2=identity(),
        )
    )
    calibrated(model, TOKENS)
    set_scale(model, "q2.act_quant", 1e8)
    graph = checked(model, TOKENS, c=True, calibrate=False)
    assert kinds(graph) == ["quantize", "linear"]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda y: F.softplus(y, beta=0.0), "softplus with beta 0"),
        (lambda y: F.softplus(y, threshold=1e4), "threshold 10000"),
        (lambda y: F.leaky_relu(y, float("inf")), "slope inf"),
        (lambda y: F.celu(y, alpha=-1.0), "CELU with alpha -1.0"),
        (lambda y: F.hardtanh(y, float("nan"), 1.0), "clamp to nan"),
    ],
)
def test_parameters_without_exact_meaning_are_refused(
    function: Callable[..., Any], reason: str
) -> None:
    model: Any = Net(lambda m, x: m.q2(m.q(x)), q=plain_identity(), q2=identity())
    calibrated(model, IMAGE)  # before the function, which would leave no scale
    model.body = lambda m, x: m.q2(function(m.q(x)))
    assert reason in refused(model, IMAGE).reason


def test_softplus_does_not_keep_order_to_the_last_digit() -> None:
    """At its threshold PyTorch's softplus falls by 2e-9: a maximum before it is refused."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.q2(F.softplus(F.max_pool2d(m.c(m.q(x)), 2))),
            q=plain_identity(),
            c=conv(2, 2),
            q2=identity(),
        )
    )
    assert "does not keep their order" in refused(calibrated(model, IMAGE), IMAGE).reason
