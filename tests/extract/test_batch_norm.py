"""BatchNorm behind layers: part of their one rounding, whatever its numbers are and whatever stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ares.nn import QuantConv1dDepthwise
from tests.extract.behind import (
    GAMMAS,
    POSITIVE,
    POWER_OF_TWO,
    QUANTIZERS,
    SIGNAL,
    VECTOR,
    behind,
    exact,
    norm,
    trained,
)
from tests.extract.models import (
    IMAGE,
    TOKENS,
    Shape,
    checked,
    conv,
    identity,
    kinds,
    linear,
    plain_identity,
    refused,
    relu,
)
from tests.slow import one_in

# --- behind layers


PER_CHANNEL = bq.Int8WeightPerChannelFloat
LAYERS: dict[str, tuple[Callable[[], nn.Module], int, int, Shape, str]] = {
    "conv": (lambda: conv(2, 6), 6, 2, IMAGE, "conv2d"),
    "bias": (lambda: conv(2, 6, bias=True, weight_quant=PER_CHANNEL), 6, 2, IMAGE, "conv2d"),
    "Int32Bias": (lambda: conv(2, 6, bias=True, bias_quant=bq.Int32Bias), 6, 2, IMAGE, "conv2d"),
    "groups": (lambda: conv(2, 6, groups=2, stride=2), 6, 2, IMAGE, "conv2d"),
    "depthwise": (lambda: conv(2, 4, groups=2, padding=1), 4, 2, IMAGE, "conv2d"),
    "dilation": (lambda: conv(2, 6, (2, 3), dilation=2), 6, 2, IMAGE, "conv2d"),
    "2 bits": (lambda: conv(2, 6, weight_bit_width=2), 6, 2, IMAGE, "conv2d"),
    "binary": (
        lambda: conv(2, 6, weight_quant=bq.SignedBinaryWeightPerTensorConst),
        *(6, 2, IMAGE, "conv2d"),
    ),
    "linear": (lambda: linear(6, 7), 7, 1, VECTOR, "linear"),
    "linear, 1 bit": (lambda: linear(6, 7, weight_bit_width=2, bias=False), 7, 1, VECTOR, "linear"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_it_joins_the_layer(name: str) -> None:
    layer, channels, dims, shape, stem = LAYERS[name]
    make = behind(lambda m, y: m.n(m.f(y)), q=identity, f=layer, n=lambda: norm(channels, dims))
    graph: Any = exact(make, stem, shape=shape, c=name in ("groups", "linear"))
    assert (graph.operations[1].rescale.multiplier < 0).any()


@pytest.mark.parametrize("name", QUANTIZERS)
def test_every_quantizer_behind_it(name: str) -> None:
    make = behind(
        lambda m, y: m.n(m.f(y)), f=lambda: conv(2, 6), n=lambda: norm(6), q2=QUANTIZERS[name]
    )
    exact(make, "conv2d", c=name in ("zero point", "binary"))


def test_the_integer_weights_are_the_trained_ones() -> None:
    model: Any = trained(
        behind(lambda m, y: m.n(m.f(y)), f=lambda: conv(2, 6), n=lambda: norm(6)), IMAGE
    )
    codes = model.f.quant_weight().int().numpy()
    graph: Any = checked(model, IMAGE, calibrate=False)
    assert np.array_equal(graph.operations[1].weight, codes)


def test_channels_of_tokens() -> None:
    """Linear layers have their channels last, BatchNorm1d wants them second."""

    def forward(m: Any, y: Any) -> Any:
        return m.n(m.f(y).transpose(1, 2)).transpose(1, 2)

    make = behind(forward, f=lambda: linear(6, 5), n=lambda: norm(5, 1))
    exact(make, "linear", "permute", "permute", shape=TOKENS, c=True)


def test_depthwise_convolution_of_a_signal() -> None:
    """`QuantConv1dDepthwise` ends in a quantiser of its own: this BatchNorm is one on codes."""
    make = behind(
        lambda m, y: m.n(m.f(y)), f=lambda: QuantConv1dDepthwise(4, 3), n=lambda: norm(4, 1)
    )
    exact(make, "conv1d_depthwise", "batch_norm", shape=SIGNAL, c=True)


FLATTENED: dict[str, tuple[Callable[..., Any], Callable[[], nn.Module], int]] = {
    "maps of one pixel": (lambda y: y.flatten(1), lambda: conv(2, 6, (6, 5)), 6),
    "pixels in a row": (lambda y: y.flatten(2), lambda: conv(2, 3), 3),
    "one channel": (lambda y: y.flatten(1).unsqueeze(1), lambda: conv(2, 1), 1),
}


@pytest.mark.parametrize("name", FLATTENED)
def test_behind_a_flattening_that_keeps_channels_apart(name: str) -> None:
    flatten, layer, channels = FLATTENED[name]
    make = behind(lambda m, y: m.n(flatten(m.f(y))), f=layer, n=lambda: norm(channels, 1))
    graph = checked(trained(make), IMAGE, calibrate=False)
    assert kinds(graph)[:3] == ["quantize", "conv2d", "flatten"]


# --- its numbers


OPTIONS: dict[str, dict[str, Any]] = {
    "affine=False": {"affine": False},
    "eps=10": {"eps": 10.0},
    "huge and tiny": {"gammas": (1e6, -1e-6, 1e-30, 1e3, 0.0, -1e8)},
    "all zero": {"gammas": (0.0,)},
    "all tiny": {"gammas": (-1e-20,)},
    "SyncBatchNorm": {},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("place", ["conv", "codes"])
def test_parameters(name: str, place: str) -> None:
    channels = 6 if place == "conv" else 2
    make = behind(
        lambda m, y: m.n(m.f(y) if place == "conv" else y),
        f=lambda: conv(2, 6),
        n=lambda: norm(channels, **OPTIONS[name]),
    )
    model: Any = trained(make)
    if name == "SyncBatchNorm":  # which trains on several processes only
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model).eval()
    graph = checked(model, IMAGE, calibrate=False, c=name == "huge and tiny")
    # Where all channels have one factor and one offset it is a table.
    one = "requantize" if name == "all zero" and place == "codes" else "batch_norm"
    expected = {"conv": {"conv2d"}, "codes": {one, "batch_norm"}}[place]
    assert kinds(graph)[1] in expected


@pytest.mark.parametrize("epsilon", [1e-5, 0.0])
def test_statistics_of_no_variance(epsilon: float) -> None:
    """eps alone is left of the divisor; with none at all there is no number."""
    make = behind(lambda m, y: m.n(m.f(y)), f=lambda: conv(2, 6), n=lambda: norm(6))
    model: Any = trained(make)
    model.n.running_var[1] = 0.0
    model.n.eps = epsilon
    if epsilon:
        assert kinds(checked(model, IMAGE, calibrate=False, c=True)) == ["quantize", "conv2d"]
        return
    finding = refused(model, IMAGE)
    assert "its running_var + eps is 0, expected positive numbers" in finding.reason
    assert "use a positive eps" in finding.suggestion


@pytest.mark.parametrize("place", ["conv", "codes"])
def test_ties(place: str) -> None:
    """Scales, factors and offsets that are powers of two: results lie half-way between two codes."""
    layer = (
        (lambda: conv(2, 6, weight_quant=bq.Int8WeightPerTensorFixedPoint, weight_bit_width=3))
        if place == "conv"
        else nn.Identity
    )
    channels = 6 if place == "conv" else 2
    make = behind(
        lambda m, y: m.n(m.f(y)),
        q=lambda: plain_identity(act_quant=POWER_OF_TWO),
        f=layer,
        n=lambda: norm(channels),
        q2=lambda: identity(act_quant=POWER_OF_TWO, bit_width=4),
    )
    model: Any = trained(make)
    factors = torch.tensor([2.0, -4.0, 1.0, 0.0, -2.0, 8.0])[:channels]
    with torch.no_grad():
        model.n.weight.copy_(factors)
        model.n.bias.fill_(0.5)
        model.n.running_var.fill_(4.0)
        model.n.running_mean.fill_(0.25)
    model.n.eps = 0.0
    graph = checked(model, IMAGE, calibrate=False, c=True)
    source, target = graph.tensor("q").scale, graph.tensor(graph.outputs[0]).scale
    assert source is not None
    assert target is not None
    steps = torch.arange(-128, 128)[:, None] * source * factors[None] / 2 / target
    assert place == "conv" or (steps % 1 == 0.5).any()


def test_shared_by_two_layers() -> None:
    def forward(m: Any, y: Any) -> Any:
        return m.n(m.g(m.r(m.n(m.f(y)))))

    make = behind(
        forward,
        f=lambda: conv(2, 6),
        g=lambda: conv(6, 6, 1),
        n=lambda: norm(6),
        r=lambda: relu(bit_width=5),
    )
    exact(make, "conv2d", "conv2d", c=True)


def test_functional() -> None:
    """With statistics of the model's own; those of a layer are the layer's to use."""

    def forward(m: Any, y: Any) -> Any:
        given = (m.mean, m.variance, m.gamma, m.beta)
        return F.batch_norm(m.f(y), *given, training=False, eps=0.25)

    def make() -> nn.Module:
        model = behind(forward, f=lambda: conv(2, 3))()
        for name, numbers in {
            "mean": (0.1, -0.3, 0.0),
            "variance": (0.5, 2.0, 0.0),
            "gamma": (1.0, -0.5, 0.0),
            "beta": (0.0, 1.0, -0.25),
        }.items():
            model.register_buffer(name, torch.tensor(numbers))
        return model

    exact(make, "conv2d", c=True)


# --- functions and moves beside it


def _lowered(y: Any) -> Any:
    return F.leaky_relu(y, 0.125)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "silu": F.silu,
    "hardswish": F.hardswish,
    "leaky_relu": _lowered,
    "sigmoid": torch.sigmoid,
}


@pytest.mark.parametrize("name", one_in(3, FUNCTIONS))
@pytest.mark.parametrize("order", ["function behind it", "function before it", "two of them"])
def test_functions_beside_it(name: str, order: str) -> None:
    function = FUNCTIONS[name]
    forward: Callable[..., Any] = {
        "function behind it": lambda m, y: function(m.n(m.f(y))),
        "function before it": lambda m, y: m.n(function(m.f(y))),
        "two of them": lambda m, y: function(m.n2(function(m.n(m.f(y))))),
    }[order]
    make = behind(forward, f=lambda: conv(2, 6), n=lambda: norm(6), n2=lambda: norm(6))
    exact(make, "conv2d", c=(name, order) in (("gelu", "two of them"), ("relu", "two of them")))


@pytest.mark.parametrize("slopes", [1, 6])
@pytest.mark.parametrize("norm_first", [True, False])
def test_prelu_beside_it(slopes: int, norm_first: bool) -> None:
    def activation() -> nn.Module:
        layer = nn.PReLU(slopes)
        layer.weight.data.copy_(torch.linspace(0.5, -0.75, slopes))
        return layer

    make = behind(
        lambda m, y: m.p(m.n(m.f(y))) if norm_first else m.n(m.p(m.f(y))),
        f=lambda: conv(2, 6),
        n=lambda: norm(6),
        p=activation,
    )
    exact(make, "conv2d", c=norm_first)


def test_behind_a_maximum() -> None:
    """A positive factor keeps the order; a negative one does not, and the advice helps."""

    def pooled(gammas: Any, forward: Callable[..., Any]) -> Callable[[], nn.Module]:
        return behind(
            forward, f=lambda: conv(2, 6), n=lambda: norm(6, gammas=gammas), q3=plain_identity
        )

    def after(m: Any, y: Any) -> Any:
        return m.n(F.max_pool2d(m.f(y), 3, 2, 1))

    exact(pooled(POSITIVE, after), "conv2d", "max_pool2d", c=True)
    finding = refused(trained(pooled(GAMMAS, after)), IMAGE)
    assert finding.layer == "n"
    assert "a maximum of real values is multiplied by -" in finding.reason
    assert "negative gamma" in finding.reason
    assert finding.suggestion == (
        "put a QuantIdentity between the two, or the factor before the pooling"
    )
    exact(
        pooled(GAMMAS, lambda m, y: m.n(m.q3(F.max_pool2d(m.f(y), 3, 2, 1)))),
        *("conv2d", "max_pool2d", "batch_norm"),
    )
    exact(pooled(GAMMAS, lambda m, y: F.max_pool2d(m.n(m.f(y)), 3, 2, 1)), "conv2d", "max_pool2d")
