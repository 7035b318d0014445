"""Arithmetic with constants: on the input in binary32, on codes, in a layer's one rounding, in the float head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import Tensor, nn

from ares.numerics import FloatStepKind
from tests.extract.behind import POWER_OF_TWO, VECTOR, behind, exact, norm, trained
from tests.extract.models import (
    IMAGE,
    Net,
    Shape,
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
from tests.slow import one_in

Function = Callable[[Any, Any], Any]

BUFFERS: dict[str, Tensor] = {
    "mean": torch.tensor([0.3, -0.2]).reshape(1, 2, 1, 1),
    "std": torch.tensor([1.2, -0.7]).reshape(2, 1, 1),
    "number": torch.tensor(1.5),
    "whole": torch.tensor([3, -2]).reshape(2, 1, 1),
    "row": torch.linspace(-1.0, 2.0, 5),
    "image": torch.linspace(-2.0, 2.0, 60).reshape(1, 2, 6, 5),
    "nan": torch.tensor([1.0, 2.0]).reshape(2, 1, 1),
    "inf": torch.tensor(2.0),
    "zero": torch.tensor([1.0, 2.0]).reshape(2, 1, 1),
}


def with_buffers(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def made() -> nn.Module:
        model = make()
        for name, values in BUFFERS.items():
            model.register_buffer(name, values.clone())
        return model

    return made


def on_input(function: Function, quantizer: Callable[[], nn.Module] = identity) -> Any:
    return with_buffers(lambda: Net(lambda m, x: m.q(function(m, x)), q=quantizer()))


def on_codes(function: Function, **layers: Any) -> Any:
    return with_buffers(behind(function, **layers))


def of_a_layer(function: Function, **layers: Any) -> Any:
    own = {"f": lambda: conv(2, 2, padding=1)} | layers
    return with_buffers(behind(lambda m, y: function(m, m.f(y)), **own))


# Anywhere: one constant for all, or one for each channel.
EVERYWHERE: dict[str, Function] = {
    "2 * x - 1": lambda m, y: 2 * y - 1,
    "x / 255": lambda m, y: y / 255,
    "1 - x": lambda m, y: 1 - y,
    "1.5 + x": lambda m, y: 1.5 + y,
    "with alpha": lambda m, y: torch.add(torch.sub(y, 2, alpha=0.25), m.number, alpha=-3),
    "-x": lambda m, y: -y,
    "torch.neg": lambda m, y: torch.neg(y),
    "x * -2": lambda m, y: y * -2,
    "x * 0": lambda m, y: y * 0,
    "x * 0 + 3": lambda m, y: y * 0 + 3.0,
    "torch.rsub": lambda m, y: torch.rsub(y, 2),
    "methods": lambda m, y: y.add(0.5).mul(2).div(3).sub(1),
    "in place": lambda m, y: y.clone().mul_(2.0).sub_(1.0).div_(0.5).add_(1),
    "torch.true_divide": lambda m, y: torch.true_divide(y, 3),
    "(x - mean) / std": lambda m, y: (y - m.mean) / m.std,
    "x * std + mean": lambda m, y: torch.add(y * m.std, m.mean),
    "mean - x": lambda m, y: m.mean - y,
    "a number of the model": lambda m, y: y * m.number,
    "a number made in forward": lambda m, y: y * torch.tensor(0.75, dtype=y.dtype),
    "computed of buffers": lambda m, y: y * (1.0 / m.std) - m.mean / m.std,
    "a mean in integers": lambda m, y: (y - m.whole) * m.whole,
    "then a clamp": lambda m, y: (y * 3).clamp(-2, 1.5),
}


@pytest.mark.parametrize("name", one_in(3, EVERYWHERE))
def test_on_the_input_it_is_done_as_the_model_does_it(name: str) -> None:
    graph: Any = exact(
        on_input(EVERYWHERE[name]), c=name in ("(x - mean) / std", "in place", "1 - x")
    )
    assert graph.operations[0].steps


@pytest.mark.parametrize("name", one_in(3, EVERYWHERE))
def test_on_codes_it_is_one_operation(name: str) -> None:
    a_channel = any(word in name for word in ("mean", "std", "buffers"))
    stem = "batch_norm" if a_channel else "requantize"
    exact(on_codes(EVERYWHERE[name]), stem, c=name in ("(x - mean) / std", "1 - x"))


@pytest.mark.parametrize("name", one_in(3, EVERYWHERE))
def test_behind_a_layer_it_joins_the_rounding(name: str) -> None:
    exact(of_a_layer(EVERYWHERE[name]), "conv2d", c=name in ("(x - mean) / std", "then a clamp"))


# A clamp is no arithmetic, and tokens have no channels of an image.
OF_A_HEAD = [
    name
    for name in EVERYWHERE
    if not any(word in name for word in ("mean", "std", "clamp", "buffers"))
]


@pytest.mark.parametrize("name", OF_A_HEAD)
def test_behind_the_last_layer_it_joins_the_head(name: str) -> None:
    def make() -> nn.Module:
        return Net(
            lambda m, x: EVERYWHERE[name](m, m.f(m.q(x))), q=plain_identity(), f=linear(6, 4)
        )

    exact(with_buffers(make), "linear_fp32", shape=VECTOR, c=name in ("2 * x - 1", "x * 0 + 3"))


# --- the input


INPUTS: dict[str, tuple[Function, Shape, list[str]]] = {
    "an element": (lambda m, x: (x + m.image) * m.image, IMAGE, []),
    "a row": (lambda m, x: x * m.row, IMAGE, []),
    "a column": (lambda m, x: x - m.image[:, :1, :, :1], IMAGE, []),
    "NHWC, then NCHW": (
        lambda m, x: ((x / 255 - m.row[:2]) / m.number).permute(0, 3, 1, 2),
        *((1, 6, 5, 2), ["permute"]),
    ),
    "NCHW of NHWC": (
        lambda m, x: (x.permute(0, 3, 1, 2) - m.mean) / m.std,
        *((1, 6, 5, 2), ["permute"]),
    ),
    "an element of what was moved": (
        lambda m, x: x.permute(0, 3, 1, 2) * m.image,
        *((1, 6, 5, 2), ["permute"]),
    ),
    "a part": (lambda m, x: x[:, 1:] * 2 + m.mean, (1, 3, 6, 5), ["slice"]),
    "padded, then scaled": (lambda m, x: F.pad(x, (1, 1)) * 2, IMAGE, ["zero_pad2d"]),
    "a maximum, then scaled": (lambda m, x: F.max_pool2d(x, 2) * 2 - 1, IMAGE, ["max_pool2d"]),
    "relu behind it": (lambda m, x: F.relu(x - m.mean), IMAGE, []),
    "far from zero": (lambda m, x: (x * 0.01 - 1000.0) / 0.05, IMAGE, []),
}


@pytest.mark.parametrize("name", INPUTS)
def test_inputs(name: str) -> None:
    function, shape, stems = INPUTS[name]
    exact(on_input(function), *stems, shape=shape, c=True)


@pytest.mark.parametrize(
    "quantizer",
    [
        lambda: identity(act_quant=bq.Uint8ActPerTensorFloat),
        lambda: identity(act_quant=ShiftedUint8ActPerTensorFloat, bit_width=5),
        lambda: identity(act_quant=POWER_OF_TWO),
        lambda: identity(act_quant=bq.SignedBinaryActPerTensorConst),
        relu,
    ],
    ids=["u8", "zero point", "power of two", "binary", "QuantReLU"],
)
def test_quantizers_of_the_input(quantizer: Callable[[], nn.Module]) -> None:
    exact(on_input(lambda m, x: 1 - 2 * x, quantizer), c=True)


def test_the_order_is_kept() -> None:
    """What binary32 gives depends on it: the steps stand as the model has them."""
    graph: Any = exact(on_input(lambda m, x: 1 - (x - 0.1) / 0.3))
    found = [FloatStepKind(step.kind).name for step in graph.operations[0].steps]
    assert found == ["SUB", "DIV", "RSUB"]


def test_three_ways_out_of_one_input() -> None:
    def make() -> nn.Module:
        return Net(
            lambda m, x: (m.a(x * 2), m.b(x - 1), m.c(x)), a=identity(), b=identity(), c=identity()
        )

    graph: Any = checked(trained(make), IMAGE, calibrate=False, c=True)
    assert [len(operation.steps) for operation in graph.operations] == [1, 1, 0]


def test_a_layers_own_input_quantizer() -> None:
    def make() -> nn.Module:
        layer = conv(2, 3, input_quant=bq.Int8ActPerTensorFloat)
        return Net(lambda m, x: m.q(m.f(2 * x - 1)), q=identity(), f=layer)

    exact(make, "conv2d")


# --- codes and layers


PLACES: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "a row of codes": (on_codes(lambda m, y: y * m.row), ["batch_norm"]),
    "a column of codes": (on_codes(lambda m, y: y - m.image[:, :1, :, :1]), ["batch_norm"]),
    "an average": (on_codes(lambda m, y: (F.avg_pool2d(y, 2) - 0.2) * -3), ["avg_pool2d"]),
    "a mean": (on_codes(lambda m, y: 1 - y.mean((2, 3)) / 2), ["mean"]),
    "a sum": (on_codes(lambda m, y: (y + m.q3(-y)) * 0.5 - 1, q3=plain_identity), ["requantize", "add"]),
    "a difference": (on_codes(lambda m, y: 2 - (y - m.q3(y * 3)), q3=plain_identity), ["requantize", "add"]),
    "a product": (on_codes(lambda m, y: y * m.q3(y * 3) / 4, q3=plain_identity), ["requantize", "mul"]),
    "flattened": (of_a_layer(lambda m, y: y.flatten(2) * m.std[..., 0]), ["conv2d", "flatten"]),
    "permuted": (
        of_a_layer(lambda m, y: y.permute(0, 2, 3, 1) * m.row[:2] + 1),
        ["conv2d", "permute"],
    ),
    "padded, then scaled": (of_a_layer(lambda m, y: F.pad(y, (1, 0)) * -2), ["conv2d", "zero_pad2d"]),
    "before and behind a function": (
        of_a_layer(lambda m, y: F.gelu(y * m.std - m.mean) * -0.5 + 0.25),
        ["conv2d"],
    ),
    "hard swish, written out": (of_a_layer(lambda m, y: F.relu6(y + 3) / 6), ["conv2d"]),
    "beside BatchNorm": (
        of_a_layer(lambda m, y: m.n(y / 2) * m.std, n=lambda: norm(2)),
        ["conv2d"],
    ),
    "of QuantTensors": (on_codes(lambda m, y: (y + 1) / 2, q=identity), ["requantize"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PLACES)
def test_places(name: str) -> None:
    make, stems = PLACES[name]
    exact(make, *stems, c=True)


def test_differences_of_two_tensors() -> None:
    """Either way round, and of a tensor that is repeated."""

    def forward(m: Any, y: Any) -> Any:
        z = m.q3(y.mean((2, 3), keepdim=True))
        return (
            m.a(y - z),
            m.b(z - y),
            m.c(torch.rsub(y, z, alpha=2)),
            m.d(torch.sub(y, y, alpha=-3)),
        )

    def make() -> nn.Module:
        layers = {name: identity(bit_width=5) for name in "abc"}
        return Net(
            lambda m, x: forward(m, m.q(x)),
            q=plain_identity(),
            q3=plain_identity(),
            d=identity(),
            **layers,
        )

    graph = checked(trained(make), IMAGE, calibrate=False, c=True)
    assert kinds(graph) == ["quantize", "mean", "add", "add", "add", "add"]


HEADS: dict[str, tuple[Function, Shape, list[str]]] = {
    "tokens": (lambda m, y: y * m.row[:4] - 1, (1, 3, 6), []),
    "turned": (lambda m, y: (y.transpose(1, 2) * m.number).transpose(1, 2), (1, 3, 6), ["permute"] * 2),
    "flattened": (lambda m, y: y.flatten(1) / 3, (1, 3, 6), ["flatten"]),
    "an output each": (lambda m, y: (m.row[:4] - y) * 3, VECTOR, []),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_heads(name: str) -> None:
    function, shape, stems = HEADS[name]

    def make() -> nn.Module:
        return Net(lambda m, x: function(m, m.f(m.q(x))), q=plain_identity(), f=linear(6, 4))

    exact(with_buffers(make), "linear_fp32", *stems, shape=shape, c=True)


# --- refused


def _twice(m: Any, y: Any) -> Any:
    return y / (y + 5)


REFUSED: dict[str, tuple[Callable[[], nn.Module], str, str, str]] = {
    "by a tensor": (on_codes(_twice), "div", "divides by a tensor", "divide by constants only"),
    "1 / x": (on_codes(lambda m, y: 1 / (y + 99)), "rdiv", "divides by a tensor", "constants only"),
    "rounded": (
        on_codes(lambda m, y: torch.div(y, 3, rounding_mode="floor")),
        *("div", "with a rounding mode", "divide without one"),
    ),
    "larger than the tensor": (
        on_codes(lambda m, y: y.mean(1, keepdim=True) + m.image),
        *("add", "its constants differ within what the real output of mean (mean) mixes"),
        "quantise both",
    ),
    "of more axes than the tensor": (
        on_codes(lambda m, y: y.flatten(1) + m.image[0, :, :1, :1].expand(2, 1, 60)),
        *("add", "constant of shape [2, 1, 60] is larger than the tensor of shape [1, 60]"),
        "the tensor's shape",
    ),
    "NaN": (on_codes(lambda m, y: y + m.nan), "add", "NaN or infinity", "train or load"),
    "NaN on the input": (on_input(lambda m, x: x + m.nan), "add", "NaN or infinity", "train"),
    "infinity": (on_codes(lambda m, y: y * m.inf), "mul", "NaN or infinity", "train or load"),
    "zero in a divisor": (on_codes(lambda m, y: y / m.zero), "div", "divides by zero", "other than zero"),
    "lost in binary32": (
        on_input(lambda m, x: (x + 1e7) - 1e7),
        *("q", "would be off by", "do it before the network, in float64"),
    ),
    "behind padding": (
        on_input(lambda m, x: F.pad(x, (1, 1)) + 2),
        *("add", "a number is added after padding with zeros", "QuantIdentity between the two"),
    ),
    "a negative factor behind a maximum": (
        of_a_layer(lambda m, y: F.max_pool2d(y, 2) * -2),
        *("mul", "a maximum of real values is multiplied by -2", "QuantIdentity between the two"),
    ),
    "an element behind a layer": (
        of_a_layer(lambda m, y: y + m.image),
        *("add", "not one for each channel of the real output of f (QuantConv2d)", "Quant"),
    ),
    "a norm": (
        on_codes(lambda m, y: m.n(y) * 2, n=lambda: nn.GroupNorm(1, 2)),
        *("mul", "the real output of n (GroupNorm), which takes no factor", "QuantIdentity"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    make, layer, reason, advice = REFUSED[name]
    model: Any = trained(make)
    # What is called after them is so only now, for the quantisers would have no scale.
    model.nan[1], model.zero[1], model.inf.data = float("nan"), 0.0, torch.tensor(float("inf"))
    finding = refused(model, IMAGE)
    assert finding.layer == layer, finding
    assert reason in finding.reason, finding
    assert advice in finding.suggestion, finding


def test_a_head_beyond_binary32_is_refused() -> None:
    def make() -> nn.Module:
        return Net(lambda m, x: m.f(m.q(x)) * 1e30 * 1e30, q=plain_identity(), f=linear(6, 4))

    finding = refused(trained(make, VECTOR), VECTOR)
    assert "its results leave binary32" in finding.reason
    assert finding.suggestion


FOLLOWED: dict[str, Callable[[], nn.Module]] = {
    "larger than the tensor": on_codes(
        lambda m, y: m.q3(y.mean(1, keepdim=True)) + m.q4(m.image),
        q3=plain_identity,
        q4=plain_identity,
    ),
    "of more axes than the tensor": on_codes(
        lambda m, y: y.flatten(1).reshape(-1, 1, 60) + m.image[0, :, :, :1].reshape(1, 12, 1)
    ),
    "behind padding": on_input(lambda m, x: F.pad(x + 2, (1, 1))),
    "a negative factor behind a maximum": of_a_layer(
        lambda m, y: m.q3(F.max_pool2d(y, 2)) * -2, q3=plain_identity
    ),
    "a norm": on_codes(
        lambda m, y: m.q3(m.n(y)) * 2, n=lambda: nn.GroupNorm(1, 2), q3=plain_identity
    ),
    "an element behind a layer": of_a_layer(
        lambda m, y: m.q3(y) + m.q4(m.image), q3=plain_identity, q4=plain_identity
    ),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_advice_followed(name: str) -> None:
    checked(trained(FOLLOWED[name]), IMAGE, calibrate=False)


def test_numbers_that_leave_the_range_of_a_quantizer() -> None:
    """A factor that makes every code but zero saturate, and one that makes all of them zero."""
    for factor in (1e9, 1e-9):
        model: Any = seeded(
            lambda: Net(lambda m, x: m.q2(m.q(x) * m.c), q=plain_identity(), q2=identity())
        )
        model.register_buffer("c", torch.tensor([1.0, -2.0]).reshape(2, 1, 1))
        calibrated(model, IMAGE)
        model.c *= factor
        assert kinds(checked(model, IMAGE, calibrate=False)) == ["quantize", "batch_norm"]
