"""Codes times one number: the same codes, or mirrored ones, on a grid of another scale, wherever codes are wanted."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.ops.requantize import Requantize
from tests.extract.models import (
    IMAGE,
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

QUANTIZERS: dict[str, Callable[[], nn.Module]] = {
    "s8": plain_identity,
    "s3": lambda: plain_identity(bit_width=3),
    "u8": lambda: plain_identity(act_quant=bq.Uint8ActPerTensorFloat),
    "zero point": lambda: plain_identity(act_quant=ShiftedUint8ActPerTensorFloat),
    "power of two": lambda: plain_identity(act_quant=bq.Int8ActPerTensorFixedPoint),
}

FACTORS: dict[str, tuple[Callable[[Any], Any], Fraction]] = {
    "x / 2": (lambda y: y / 2, Fraction(1, 2)),
    "x / tensor": (lambda y: y / torch.tensor(2.0), Fraction(1, 2)),
    "x * 3": (lambda y: y * 3, Fraction(3)),
    "0.3 * x": (lambda y: 0.3 * y, Fraction(0.3)),
    "-x": (lambda y: -y, Fraction(-1)),
    "x / -7": (lambda y: y.div(-7), Fraction(-1, 7)),
    "in steps": (lambda y: -(y / 4) * 1.5 / -0.5, Fraction(3, 4)),
    "0 - x": (lambda y: 0 - y, Fraction(-1)),
}


@pytest.mark.parametrize("quantizer", QUANTIZERS)
@pytest.mark.parametrize("case", FACTORS)
def test_codes_stay(case: str, quantizer: str) -> None:
    """As an output of the network: no code is rounded."""
    function, factor = FACTORS[case]
    model = Net(lambda m, x: function(m.q(x)), q=QUANTIZERS[quantizer]())
    graph = checked(model, IMAGE, c=quantizer == "zero point" and case in ("x / 2", "x / -7"))
    assert kinds(graph) == ["quantize", "requantize"]
    source, result = graph.tensor(graph.operations[0].outputs[0]), graph.tensor(graph.outputs[0])
    assert result.scale == float(Fraction(source.scale or 0) * abs(factor))
    operation = graph.operations[1]
    assert isinstance(operation, Requantize)
    for code in range(source.lo, source.hi + 1):
        found = int(operation.table[code & 0xFF : (code & 0xFF) + 1].view(result.dtype.numpy)[0])
        sign = 1 if factor > 0 else -1
        assert found - result.zero_point == sign * (code - source.zero_point)
        assert result.lo <= found <= result.hi


# What follows the factor -> the Graph's operations behind the first quantiser.
USES: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "a convolution": (lambda m, x: m.out(m.c(m.q(x) / 2)), ["requantize", "conv2d"]),
    "logits": (lambda m, x: m.f(-m.q(x).flatten(1)), ["flatten", "requantize", "linear_fp32"]),
    "a sum": (lambda m, x: m.out(m.q(x) / 2 + m.q2(x) * -3), ["requantize", "requantize", "add"]),
    "a difference": (lambda m, x: m.out(m.q(x) * 0.7 - m.q2(x)), ["requantize", "add"]),
    "a product": (lambda m, x: m.out(-m.q(x) * m.q2(x)), ["requantize", "mul"]),
    "attention": (
        lambda m, x: m.out((m.q(x) * 0.25) @ m.q2(x).transpose(-2, -1)),
        ["permute", "requantize", "matmul"],
    ),
    "softmax": (lambda m, x: m.u((m.q(x) * 2).softmax(-1)), ["requantize", "softmax"]),
    "moves": (
        lambda m, x: m.out(m.c((m.q(x) / -2).permute(0, 1, 3, 2).flip(2))),
        ["requantize", "permute", "flip", "conv2d"],
    ),
    "a maximum": (lambda m, x: m.out(m.c(F.max_pool2d(m.q(x) / -2, 2))), ["requantize", "max_pool2d", "conv2d"]),
    "padding": (lambda m, x: m.out(m.c(F.pad(-m.q(x), (1, 0, 2, 1)))), ["requantize", "zero_pad2d", "conv2d"]),
    "two layers": (
        lambda m, x: (lambda y: (m.out(m.c(y)), m.r(m.d(y))))(m.q(x) * 1.5),
        ["requantize", "conv2d", "conv2d"],
    ),
    "a quantiser": (lambda m, x: m.out(m.q(x) / 2), ["requantize"]),
    "a quantiser and a layer": (
        lambda m, x: (lambda y: (m.out(y), m.r(m.c(y))))(m.q(x) * -1.5),
        ["requantize", "requantize", "conv2d"],
    ),
    "a concatenation": (lambda m, x: m.out(torch.cat([m.q(x) / 2, m.q2(x)], 1)), ["requantize", "concat"]),
}  # fmt: skip


@pytest.mark.parametrize("case", USES)
def test_uses(case: str) -> None:
    forward, expected = USES[case]
    model = seeded(
        lambda: Net(
            forward,
            q=plain_identity(act_quant=ShiftedUint8ActPerTensorFloat),
            q2=plain_identity(),
            c=conv(2, 3, padding=1),
            d=conv(2, 2),
            f=linear(60, 4),
            out=identity(),
            u=identity(act_quant=bq.Uint8ActPerTensorFloat),
            r=relu(),
        )
    )
    graph = checked(model, IMAGE, c=True)
    assert [kind for kind in kinds(graph) if kind != "quantize"] == expected


# Brevitas negates the codes of a QuantTensor, which it rounds to be sure that they are whole.
QUANT_TENSORS: dict[str, Callable[..., Any]] = {
    "-x": lambda m, x: m.out(-m.q(x)),
    "-x into a layer": lambda m, x: m.out(m.c(-m.q(x))),
    "x - y": lambda m, x: m.out(m.q(x) - m.q(x.flip(2))),
    "abs": lambda m, x: m.out(abs(m.q(x))),
    "x / 2": lambda m, x: m.out(m.c(m.q(x) / 2)),
}


@pytest.mark.parametrize("quantizer", ["s8", "s3", "u8"])
@pytest.mark.parametrize("case", QUANT_TENSORS)
def test_quant_tensors(case: str, quantizer: str) -> None:
    makers = {
        "s8": identity,
        "s3": lambda: identity(bit_width=3),
        "u8": lambda: identity(act_quant=bq.Uint8ActPerTensorFloat),
    }
    model = seeded(
        lambda: Net(QUANT_TENSORS[case], q=makers[quantizer](), c=conv(2, 3), out=identity())
    )
    checked(model, IMAGE, c=quantizer == "s8")


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "x - 1": (lambda y: y - 1, "not quantised"),
    "2 - x": (lambda y: 2 - y, "not quantised"),
    "x * 0": (lambda y: y * 0, "not quantised"),
    "a factor for each channel": (lambda y: y * torch.tensor([[[1.0]], [[2.0]]]), "not quantised"),
    "a function": (lambda y: (y / 2).tanh(), "not quantised"),
    "round": (lambda y: torch.round(y), "rounds what is no whole number"),
    "too small": (lambda y: y * 1e-38, "no normal number of binary32"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_grid_of_codes_is_refused(case: str) -> None:
    function, reason = REFUSED[case]
    model = seeded(
        lambda: Net(lambda m, x: m.c(function(m.q(x))), q=plain_identity(), c=conv(2, 3))
    )
    finding = refused(calibrated(model, IMAGE), IMAGE)
    assert reason in finding.reason


def test_whole_numbers_are_rounded_to_themselves() -> None:
    model: Any = Net(lambda m, x: torch.round(m.q(x) * 4 + 3) - 3, q=plain_identity())
    calibrated(model, IMAGE)
    set_scale(model, "q.act_quant", 32.0)
    graph = checked(model, IMAGE, calibrate=False)
    assert graph.tensor(graph.operations[0].outputs[0]).scale == 0.25
    assert graph.tensor(graph.outputs[0]).scale == 1.0
