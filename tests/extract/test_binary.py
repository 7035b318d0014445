"""Quantisers that do not round but step: binary (the sign, zero is positive) and ternary ones."""

from __future__ import annotations

from typing import Any

import brevitas.quant as bq
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brevitas.inject.enum import QuantType
from torch import nn

from ares.ops import run_reference
from ares.witness import Witness
from tests.extract.models import (
    IMAGE,
    Net,
    checked,
    conv,
    identity,
    kinds,
    linear,
    plain_identity,
    seeded,
)

SIGNED, SIGNED_FIXED = bq.Int8ActPerTensorFloat, bq.Int8ActPerTensorFixedPoint


class Binary(SIGNED):
    """The sign, times a learned scale."""

    quant_type = QuantType.BINARY


class PowerOfTwoBinary(SIGNED_FIXED):
    """The sign, times a power of two."""

    quant_type = QuantType.BINARY


class Ternary(SIGNED):
    """The sign, or zero up to a threshold, times a learned scale."""

    quant_type = QuantType.TERNARY
    threshold = 0.3


STEPS: dict[str, Any] = {
    "binary, constant scale": bq.SignedBinaryActPerTensorConst,
    "binary": Binary,
    "binary, power of two": PowerOfTwoBinary,
    "ternary": Ternary,
    "ternary by rounding, constant scale": bq.SignedTernaryActPerTensorConst,
}


def _of_steps(act_quant: Any) -> nn.Module:
    """Behind codes, a convolution, a maximum of codes and of reals, with and without functions between."""

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        a = m.on_codes(y)
        b = m.on_conv(m.c(y))
        d = m.behind_maximum(m.c2(F.max_pool2d(b, 2, 1)))
        e = m.of_maximum(F.max_pool2d(m.c3(F.pad(d, (1, 1, 1, 1))), 2))
        return a, b, e, m.of_relu(F.relu(m.c(y))), m.of_tanh(torch.tanh(m.c(y)))

    names = ("on_codes", "on_conv", "behind_maximum", "of_maximum", "of_relu", "of_tanh")
    return Net(
        forward,
        q=plain_identity(),
        c=conv(2, 2, padding=1),
        c2=conv(2, 3, bias=True, weight_quant=bq.SignedBinaryWeightPerTensorConst),
        c3=conv(3, 2, bias=True, weight_quant=bq.Int8WeightPerChannelFloat),
        **{name: plain_identity(act_quant=act_quant) for name in names},
    )


@pytest.mark.parametrize("kind", STEPS)
def test_quantizers_that_step(kind: str) -> None:
    graph = checked(seeded(lambda: _of_steps(STEPS[kind])), IMAGE, c=True)
    assert {(graph.tensor(name).lo, graph.tensor(name).hi) for name in graph.outputs[:3]} == {
        (-1, 1)
    }


def test_zero_is_positive() -> None:
    """Sums that are exactly zero: 1 - 1, with scales that are powers of two, so that float64 rounds nothing."""

    def forward(m: Any, x: Any) -> Any:
        return m.b(m.c(m.q(x)))

    model: Any = Net(
        forward,
        q=identity(act_quant=SIGNED_FIXED),
        c=conv(2, 1, 1, weight_quant=bq.Int8WeightPerTensorFixedPoint),
        b=identity(act_quant=PowerOfTwoBinary),
    )
    model.c.weight.data = torch.tensor([0.5, -0.5]).reshape(1, 2, 1, 1)
    graph = checked(model, IMAGE, c=True)
    x = np.ones(IMAGE, np.float32)
    codes = run_reference(graph, [x])
    assert (codes["c"] == 1).all()
    wrong = codes["c"].copy()
    wrong[0, 0, 0, 0] = -1
    for changed in (wrong, wrong * 0):  # on the wrong side of the edge, and no code at all
        judged = Witness(model, graph).judge([x], {**codes, "c": changed})
        assert [judgement.tensor for judgement in judged if not judgement.accepted] == ["c"]


def test_a_flipped_sign_is_seen() -> None:
    model = seeded(lambda: _of_steps(Binary))
    graph = checked(model, IMAGE)
    x = np.random.Generator(np.random.PCG64(3)).normal(0.0, 1.0, IMAGE).astype(np.float32)
    codes = run_reference(graph, [x])
    wrong = codes["on_codes"].copy()
    wrong[0, 0, 0, 0] *= -1
    judged = Witness(model, graph).judge([x], {**codes, "on_codes": wrong})
    assert "on_codes" in [judgement.tensor for judgement in judged if not judgement.accepted]


def test_a_binary_network() -> None:
    """Weights and activations of one bit, BatchNorm with factors of both signs before each sign."""

    def forward(m: Any, x: Any) -> Any:
        y = F.max_pool2d(m.a1(m.b1(m.c1(m.q(x)))), 2)
        return m.a2(m.b2(m.f(y.flatten(1))))

    def make() -> nn.Module:
        one_bit = {"weight_quant": bq.SignedBinaryWeightPerTensorConst}
        model: Any = Net(
            forward,
            q=plain_identity(),
            c1=conv(2, 8, **one_bit),
            b1=nn.BatchNorm2d(8),
            a1=plain_identity(act_quant=bq.SignedBinaryActPerTensorConst),
            f=linear(16, 6, bias=False, **one_bit),
            b2=nn.BatchNorm1d(6),
            a2=plain_identity(act_quant=bq.SignedBinaryActPerTensorConst),
        )
        for norm in (model.b1, model.b2):
            norm.weight.data.normal_()
            norm.bias.data.normal_()
            norm.running_var.uniform_(0.5, 2.0)
        assert (model.b1.weight < 0).any()
        assert (model.b1.weight > 0).any()
        return model.eval()

    model = seeded(make)
    with torch.no_grad():
        model.q.train()(torch.randn(4, *IMAGE[1:], generator=torch.Generator().manual_seed(3)))
    graph = checked(model.eval(), IMAGE, c=True, calibrate=False)
    assert kinds(graph) == ["quantize", "conv2d", "max_pool2d", "flatten", "linear"]
