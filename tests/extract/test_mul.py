"""Products of two tensors, explicit and implicit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.nn.activations import QuantSiLU
from ares.nn.joins import QuantMul
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
)


def _operands() -> dict[str, nn.Module]:
    return {
        "q": plain_identity(),
        "q2": plain_identity(act_quant=ShiftedUint8ActPerTensorFloat),
        "q3": plain_identity(act_quant=bq.Uint8ActPerTensorFloat, bit_width=5),
        "dyadic": plain_identity(act_quant=bq.Int8ActPerTensorFixedPoint),
        "out": identity(),
        "dyadic_out": identity(act_quant=bq.Int8ActPerTensorFixedPoint),
        "relu": relu(),
    }


def _imul(m: Any, x: Any) -> Any:
    y = m.q(x)
    y *= m.q2(x)
    return m.out(y)


# Forward -> operations behind the quantisers of the input.
PRODUCTS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "operator": (lambda m, x: m.out(m.q(x) * m.q2(x)), ["mul"]),
    "torch.mul": (lambda m, x: m.out(torch.mul(m.q3(x), other=m.q2(x))), ["mul"]),
    "method": (lambda m, x: m.out(m.q3(x).mul(m.q2(x))), ["mul"]),
    "in place": (_imul, ["mul"]),
    "itself": (lambda m, x: (lambda y: m.out(y * y))(m.q2(x)), ["mul"]),
    "square": (lambda m, x: m.out(m.q2(x).square()), ["mul"]),
    "power of two": (lambda m, x: m.out(torch.pow(m.q3(x), exponent=2.0)), ["mul"]),
    "operator **": (lambda m, x: m.out(m.q3(x) ** 2), ["mul"]),
    "ties": (lambda m, x: (lambda y: m.dyadic_out(y * y))(m.dyadic(x)), ["mul"]),
    "relu": (lambda m, x: m.relu(m.q(x) * m.q2(x)), ["mul"]),
    "silu": (lambda m, x: m.out(F.silu(m.q(x) * m.q2(x))), ["mul"]),
    "a number": (lambda m, x: m.out(m.q(x) * m.q2(x) * 0.125), ["mul"]),
    "permute, maximum": (
        lambda m, x: m.relu(F.max_pool2d((m.q(x) * m.q3(x)).permute(0, 1, 3, 2), 2)),
        ["mul", "permute", "max_pool2d"],
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    forward, stems = PRODUCTS[name]
    graph = checked(Net(forward, **_operands()), IMAGE, c=name in ("operator", "ties", "silu"))
    assert [kind for kind in kinds(graph) if kind != "quantize"] == stems


@pytest.mark.parametrize("first", [True, False])
def test_a_gate_for_each_channel(first: bool) -> None:
    """Squeeze and excitation: the smaller factor may stand on either side."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        gate = m.g(torch.sigmoid(m.c(m.p(F.adaptive_avg_pool2d(y, 1)))))
        return m.out(gate * y if first else y * gate)

    model = seeded(
        lambda: Net(
            forward,
            q=plain_identity(),
            p=plain_identity(),
            c=conv(2, 2, 1),
            g=plain_identity(act_quant=bq.Uint8ActPerTensorFloat),
            out=identity(),
        )
    )
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph)[-1] == "mul"


def test_swiglu() -> None:
    """The gated half of a Llama's feed-forward: two linear layers, SiLU, product."""
    model = seeded(
        lambda: Net(
            lambda m, x: (lambda y: m.down(m.join(m.act(m.gate(y)), m.up_q(m.up(y)))))(m.q(x)),
            q=identity(),
            gate=linear(6, 8),
            up=linear(6, 8),
            up_q=identity(),
            act=QuantSiLU(),
            join=QuantMul(),
            down=linear(8, 6),
        )
    )
    graph = checked(model, TOKENS, c=True)
    assert kinds(graph) == ["quantize", "linear", "linear", "mul", "linear_fp32"]
    assert graph.operations[3].name == "join"


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda m, x: m.out(m.c(m.q(x)) * m.q(x)[:, :, 1:-1, 1:-1]), "is not quantised"),
        (lambda m, x: m.out(m.q(x) * m.c.weight[0, 0, 0, 0]), "of a layer"),
        (lambda m, x: m.c(m.q(x) * m.q(x)), "the product mul"),
        (lambda m, x: m.q(x) * m.q(x), "the network's output is the product"),
    ],
)
def test_what_is_refused(forward: Callable[..., Any], reason: str) -> None:
    model = seeded(lambda: Net(forward, q=plain_identity(), c=conv(2, 2), out=identity()))
    assert reason in str(refused(calibrated(model, IMAGE), IMAGE))
