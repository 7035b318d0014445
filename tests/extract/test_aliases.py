"""The same function under another name: modules, functions, methods, and what Brevitas wraps around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.nn.quant_layer import QuantNonLinearActLayer
from torch import nn

from tests.extract.behind import behind, exact, norm, trained
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
)
from tests.slow import one_in

FOUR: Shape = (1, 4, 6, 5)


# --- activations

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "nn.ReLU6": nn.ReLU6(),
    "nn.ReLU6 in place": nn.ReLU6(inplace=True),
    "F.relu6": F.relu6,
    "F.hardtanh(0, 6)": lambda y: F.hardtanh(y, 0, 6),
    "clamp(0, 6)": lambda y: y.clamp(0, 6),
    "nn.Hardtanh": nn.Hardtanh(-0.5, 0.75),
    "F.hardtanh": lambda y: F.hardtanh(y, -0.5, 0.75),
    "F.hardtanh_": lambda y: F.hardtanh_(y.clone(), -0.5, 0.75),
    "torch.clamp": lambda y: torch.clamp(y, -0.5, 0.75),
    "clamp, keywords": lambda y: y.clamp(max=0.75, min=-0.5),
    "clamp_": lambda y: y.clone().clamp_(-0.5, 0.75),
    "torch.clip": lambda y: torch.clip(y, -0.5, 0.75),
    "two clamps": lambda y: y.clamp(max=0.75).clamp_min(-0.5),
    "clamp(min=)": lambda y: y.clamp(min=0.25),
    "clamp_min": lambda y: torch.clamp_min(y, 0.25),
    "clamp(max=)": lambda y: torch.clamp(y, max=0.5),
    "clamp_max": lambda y: y.clamp_max(0.5),
    "clip(0)": lambda y: y.clip(0),
    "torch.relu": torch.relu,
    "relu_": lambda y: y.clone().relu_(),
    "F.relu_": lambda y: F.relu_(y.clone()),
    "nn.Hardsigmoid": nn.Hardsigmoid(),
    "F.hardsigmoid": F.hardsigmoid,
    "F.relu6(x + 3) / 6": lambda y: F.relu6(y + 3.0) / 6.0,
    "nn.Hardswish": nn.Hardswish(),
    "F.hardswish": F.hardswish,
    "nn.PReLU": nn.PReLU(),
    "nn.PReLU, channels": nn.PReLU(4),
    "F.prelu": lambda y: F.prelu(y, torch.full((4,), 0.25, dtype=y.dtype)),
    "torch.prelu": lambda y: torch.prelu(y, torch.full((1,), 0.25, dtype=y.dtype)),
    "F.leaky_relu_": lambda y: F.leaky_relu_(y.clone(), 0.25),
    "F.elu_": lambda y: F.elu_(y.clone()),
    "nn.SELU": nn.SELU(),
    "F.selu": F.selu,
    "nn.CELU": nn.CELU(2.0),
    "F.celu": lambda y: F.celu(y, alpha=2.0),
    "nn.Mish": nn.Mish(),
    "F.mish": F.mish,
    "nn.Softsign": nn.Softsign(),
    "F.softsign": F.softsign,
    "nn.LogSigmoid": nn.LogSigmoid(),
    "F.logsigmoid": F.logsigmoid,
    "sigmoid_": lambda y: y.clone().sigmoid_(),
    "F.silu in place": lambda y: F.silu(y.clone(), inplace=True),
    "nn.Identity": nn.Identity(),
    "nn.Dropout": nn.Dropout(),
    "nn.Dropout2d": nn.Dropout2d(),
    "nn.AlphaDropout": nn.AlphaDropout(),
}


class _Applied(nn.Module):
    """A function or a layer of a table, as a layer of the model's own."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.f = deepcopy(function)

    def forward(self, y: Any) -> Any:
        return self.f(y)


def _applied(name: str, table: Mapping[str, Any]) -> Callable[[], nn.Module]:
    found = table[name]
    return lambda: _Applied(found[0] if isinstance(found, tuple) else found)


@pytest.mark.parametrize("name", one_in(4, ACTIVATIONS))
def test_activations_of_codes(name: str) -> None:
    make = behind(lambda m, y: m.f(y), f=_applied(name, ACTIVATIONS))
    graph = checked(trained(make, FOUR), FOUR, calibrate=False, c=name == "nn.PReLU, channels")
    assert kinds(graph)[0] == "quantize"
    assert set(kinds(graph)[1:]) <= {"activation", "relu", "silu", "requantize", "batch_norm"}


@pytest.mark.parametrize("name", one_in(4, ACTIVATIONS))
def test_activations_behind_a_layer(name: str) -> None:
    layer = lambda: conv(4, 4, bias=True)  # noqa: E731
    make = behind(lambda m, y: m.f(m.c(y)), c=layer, f=_applied(name, ACTIVATIONS))
    exact(make, "conv2d", shape=FOUR, c=name in ("nn.PReLU, channels", "nn.Mish", "torch.clamp"))


@pytest.mark.parametrize(
    "name", ["nn.ReLU6", "F.relu6", "nn.Hardtanh", "torch.clamp", "two clamps", "clip(0)", "relu_"]
)
def test_limits_of_the_input(name: str) -> None:
    """Clamps are bounds of the codes; other functions of a float input are refused."""
    function = _applied(name, ACTIVATIONS)
    exact(lambda: Net(lambda m, x: m.q(m.f(x)), q=identity(), f=function()), c=name == "nn.ReLU6")


def test_relu6_of_codes_beyond_six_and_below_it() -> None:
    """Where six is one of the codes it is a bound; between two of them the next quantiser rounds."""
    for threshold, stems in ((8.0, {"relu"}), (7.3, {"activation"})):
        model: Any = trained(behind(lambda m, y: F.relu6(y)))
        scaling = model.q.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl
        scaling.buffer.fill_(threshold)
        graph = checked(model, IMAGE, calibrate=False, c=True)
        assert stems <= set(kinds(graph))


# --- Brevitas' own layers


def _activation(implementation: Any, quant: Any = bq.Int8ActPerTensorFloat, **options: Any) -> Any:
    """An activation layer of that implementation, as Brevitas builds its own."""
    return lambda: QuantNonLinearActLayer(
        implementation, False, None, quant, return_quant_tensor=True, **options
    )


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "GELU": _activation(nn.GELU),
    "SiLU": _activation(nn.SiLU),
    "Hardswish": _activation(nn.Hardswish),
    "LeakyReLU": _activation(nn.LeakyReLU),
    "ReLU6": _activation(nn.ReLU6),
    "Hardtanh": _activation(nn.Hardtanh, min_val=-0.5, max_val=0.25),
    "Mish": _activation(nn.Mish, bit_width=4),
    "Softplus, unsigned": _activation(nn.Softplus, bq.Uint8ActPerTensorFloat),
    "QuantHardTanh": lambda: qnn.QuantHardTanh(min_val=-1.0, max_val=0.5, return_quant_tensor=True),
    "QuantHardTanh, 2 bits": lambda: qnn.QuantHardTanh(bit_width=2, min_val=-1.0, max_val=1.0),
    "QuantSigmoid": lambda: qnn.QuantSigmoid(return_quant_tensor=True),
    "QuantTanh": lambda: qnn.QuantTanh(bit_width=4),
}


@pytest.mark.parametrize("name", one_in(4, LAYERS))
@pytest.mark.parametrize("place", ["codes", "conv", "norm"])
def test_activation_layers(name: str, place: str) -> None:
    forward: Callable[..., Any] = {
        "codes": lambda m, y: m.a(y),
        "conv": lambda m, y: m.a(m.c(y)),
        "norm": lambda m, y: m.a(m.n(m.c(y))),
    }[place]
    make = behind(forward, q=identity, c=lambda: conv(4, 4), n=lambda: norm(4), a=LAYERS[name],
                  q2=nn.Identity)  # fmt: skip
    graph = checked(trained(make, FOUR), FOUR, calibrate=False, c=name == "GELU")
    assert len(kinds(graph)) == 2
    assert place == "codes" or kinds(graph)[1] == "conv2d"


def test_a_hard_tanh_does_not_clamp_at_its_limits() -> None:
    """Brevitas' layer clips at its codes only: 0.992 of 3, with limits -1 and 0.5."""
    make = lambda: Net(lambda m, x: m.a(x), a=qnn.QuantHardTanh(min_val=-1.0, max_val=0.5))  # noqa: E731
    graph = exact(make, shape=FOUR, c=True)
    assert (graph.tensor("a").lo, graph.tensor("a").hi) == (-128, 127)


ADD = qnn.QuantEltwiseAdd
SUMS: dict[str, tuple[Callable[..., Any], dict[str, Any], int]] = {
    "of one grid": (lambda m, y: m.a(y, y), {}, 2),
    "of two grids": (lambda m, y: m.a(y, m.q3(y)), {}, 3),
    "by keywords": (lambda m, y: m.a(other=m.q3(y), input=y), {}, 3),
    "of layers": (lambda m, y: m.a(m.c(y), m.c2(y)), {}, 2),
    "without input quantiser": (lambda m, y: m.a(y, y), {"input_quant": None}, 0),
    "without output quantiser": (lambda m, y: m.a(y, m.q3(y)), {"output_quant": None}, 3),
    "unsigned": (
        lambda m, y: m.a(m.r(y), m.r(m.c(y))),
        {"output_quant": bq.Uint8ActPerTensorFloat, "output_bit_width": 4},
        *(4,),
    ),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_brevitas(name: str) -> None:
    forward, options, tables = SUMS[name]
    make = behind(
        forward,
        q3=lambda: plain_identity(bit_width=4),
        r=relu,
        c=lambda: conv(4, 4, 1),
        c2=lambda: conv(4, 4, 1, bias=True),
        a=lambda: ADD(**options),
    )
    graph = checked(trained(make, FOUR), FOUR, calibrate=False, c=True)
    assert kinds(graph)[0] == "quantize"
    assert "add" in kinds(graph)
    assert len(kinds(graph)) <= 3 + tables


# --- reductions and moves

MOVES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "x.mean((2, 3))": (lambda y: y.mean((2, 3)), ("mean",)),
    "torch.mean": (lambda y: torch.mean(y, [2, 3], keepdim=True), ("mean",)),
    "mean(axis=)": (lambda y: y.mean(axis=-1, keepdims=True), ("mean",)),
    "sum": (lambda y: y.sum(2), ("mean",)),
    "torch.sum": (lambda y: torch.sum(y, dim=(1, 3), keepdim=True), ("mean",)),
    "sum / count": (lambda y: y.sum((2, 3)) / 30, ("mean",)),
    "a pool of everything": (nn.AdaptiveAvgPool2d((1, 1)), ("global_avg_pool",)),
    "F.pad": (lambda y: F.pad(y, (1, 2, 0, 1)), ("zero_pad2d",)),
    "F.pad, spelt out": (lambda y: F.pad(y, (1, 1), "constant", 0.0), ("zero_pad2d",)),
    "nn.ConstantPad2d": (nn.ConstantPad2d((0, 1, 2, 0), 0.0), ("zero_pad2d",)),
    "torch.unflatten": (lambda y: torch.unflatten(y, 1, (2, 2)), ("reshape",)),
    "x.unflatten": (lambda y: y.unflatten(dim=-1, sizes=(5, 1)), ("reshape",)),
    "nn.Unflatten": (nn.Unflatten(1, (2, -1)), ("reshape",)),
    "view_as": (lambda y: y.view_as(y.reshape(y.shape)), ()),
    "movedim": (lambda y: y.movedim(1, -1), ("permute",)),
    "torch.moveaxis": (lambda y: torch.moveaxis(y, (1, 2), (3, 1)), ("permute",)),
    "swapaxes": (lambda y: y.swapaxes(1, 2), ("permute",)),
    "torch.swapdims": (lambda y: torch.swapdims(y, -1, 1), ("permute",)),
    "mT": (lambda y: y.mT, ("permute",)),
    "narrow": (lambda y: y.narrow(1, 1, 2), ("slice",)),
    "torch.narrow from the end": (lambda y: torch.narrow(y, -1, -3, 2), ("slice",)),
    "squeeze": (lambda y: y[:, :1].squeeze(1), ("slice", "squeeze")),
    "squeeze, twice": (lambda y: y[:, :1, :1].squeeze((1, 2)), ("slice", "slice", "squeeze")),
    "squeeze of nothing": (lambda y: torch.squeeze(y, 2), ()),
    "unbind": (lambda y: y.unbind(1)[2], ("slice", "squeeze")),
    "torch.unbind": (lambda y: torch.unbind(y, dim=-1)[0], ("slice", "squeeze")),
    "select": (lambda y: y.select(2, -1), ("slice", "squeeze")),
    "torch.concat": (lambda y: torch.concat((y, y), 1), ("concat",)),
    "torch.concatenate": (lambda y: torch.concatenate((y, y), dim=2), ("concat",)),
    "channels last": (lambda y: y.contiguous(memory_format=torch.channels_last), ()),
    "+x": (lambda y: +y, ()),
    "cpu": (lambda y: y.cpu(), ()),
    "to('cpu')": (lambda y: y.to("cpu"), ()),
    "nn.ChannelShuffle": (nn.ChannelShuffle(2), ("reshape", "permute", "reshape")),
    "nn.PixelShuffle": (nn.PixelShuffle(2), ("reshape", "permute", "reshape")),
    "F.pixel_unshuffle": (
        lambda y: F.pixel_unshuffle(y[..., :4], 2),
        ("slice", "reshape", "permute", "reshape"),
    ),
}
REDUCTIONS = ("mean", "global_avg_pool")
JOINS_AND_SUMS = (*REDUCTIONS, "concat")
WAITING = [name for name, (_, stems) in MOVES.items() if not {*stems} & {*JOINS_AND_SUMS}]


@pytest.mark.parametrize("name", one_in(3, MOVES))
def test_moves_of_codes(name: str) -> None:
    _, stems = MOVES[name]
    make = behind(lambda m, y: m.f(y), f=_applied(name, MOVES))
    behind_them = () if stems and stems[-1] in REDUCTIONS else ("requantize",)
    exact(make, *stems, *behind_them, shape=FOUR)


@pytest.mark.parametrize("name", one_in(3, WAITING))
def test_moves_of_real_values(name: str) -> None:
    """Behind a layer with BatchNorm they wait; its constants find their channels again."""
    _, stems = MOVES[name]
    make = behind(
        lambda m, y: F.gelu(m.f(m.n(m.c(y)))),
        c=lambda: conv(4, 4, 1),
        n=lambda: norm(4),
        f=_applied(name, MOVES),
    )
    exact(make, "conv2d", *stems, shape=FOUR)


# --- blocks of torchvision


class ConvNormActivation(nn.Sequential):
    """Layers in the order of `torchvision.ops.Conv2dNormActivation`, which is a Sequential too."""

    def __init__(self, inputs: int, outputs: int, activation: Callable[..., nn.Module], **o: Any):
        super().__init__(
            conv(inputs, outputs, **o),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01),
            activation(inplace=True),
            plain_identity(),
        )


class SqueezeExcitation(nn.Module):
    """As torchvision's, with quantisers where values meet layers."""

    def __init__(self, channels: int, squeezed: int, scale: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.quant_avg = plain_identity()
        self.fc1 = conv(channels, squeezed, 1, bias=True)
        self.activation = nn.ReLU()
        self.quant_squeezed = plain_identity()
        self.fc2 = conv(squeezed, channels, 1, bias=True)
        self.scale_activation = scale()
        self.quant_scale = plain_identity()

    def forward(self, x: Any) -> Any:
        y = self.quant_avg(self.avgpool(x))
        y = self.fc2(self.quant_squeezed(self.activation(self.fc1(y))))
        return self.quant_scale(self.scale_activation(y)) * x


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU])
def test_an_inverted_residual(activation: Callable[..., nn.Module]) -> None:
    """MobileNet's: widen, filter each channel, squeeze and excite, narrow linearly, add."""

    def forward(m: Any, y: Any) -> Any:
        return y + m.q3(m.norm(m.narrow(m.se(m.filter(m.widen(y))))))

    make = behind(
        forward,
        widen=lambda: ConvNormActivation(2, 8, activation, kernel=1),
        filter=lambda: ConvNormActivation(8, 8, activation, groups=8, padding=1),
        se=lambda: Net(
            lambda m, x: m.quant(m.block(x)),
            block=SqueezeExcitation(8, 3, nn.Hardsigmoid),
            quant=plain_identity(),
        ),
        narrow=lambda: conv(8, 2, 1),
        norm=lambda: nn.BatchNorm2d(2),
        q3=plain_identity,
    )
    stems = ["conv2d", "conv2d", "global_avg_pool", "conv2d", "conv2d", "mul", "conv2d", "add"]
    exact(make, *stems, c=activation is nn.Hardswish)


def test_a_classifier_with_dropout() -> None:
    head = [nn.Dropout(0.2), nn.Identity()]
    make = lambda: nn.Sequential(  # noqa: E731
        plain_identity(), nn.Flatten(), *head, linear(60, 3)
    )
    exact(make, "flatten", "linear_fp32", c=True)


# --- what only looks like one of them


def test_limits_the_wrong_way_round_are_refused() -> None:
    finding = refused(trained(behind(lambda m, y: y.clamp(1.0, 0.5))), IMAGE)
    assert (finding.layer, "empty" in finding.reason) == ("clamp", True), finding
    assert "smaller number first" in finding.suggestion


@pytest.mark.parametrize("forward", [lambda y: y.mean(), lambda y: y.sum()])
def test_reductions_of_everything_are_refused(forward: Callable[..., Any]) -> None:
    finding = refused(trained(behind(lambda m, y: forward(y).reshape(1, 1))), IMAGE)
    assert "the batch included" in finding.reason
    assert "give the dimensions" in finding.suggestion


def test_prelu_inside_a_brevitas_layer() -> None:
    def act(slopes: int) -> nn.Module:
        return QuantNonLinearActLayer(
            act_impl=nn.PReLU,
            passthrough_act=False,
            input_quant=None,
            act_quant=bq.Int8ActPerTensorFloat,
            return_quant_tensor=True,
            num_parameters=slopes,
        )

    def body(m: Any, x: torch.Tensor) -> Any:
        return m.act(m.c(m.q(x)))

    checked(Net(body, q=identity(), c=conv(2, 3), act=act(1)), IMAGE, c=True)
    three = calibrated(Net(body, q=identity(), c=conv(2, 3), act=act(3)), IMAGE)
    assert "PReLU with 3 slopes" in refused(three, IMAGE).reason


def test_limits_that_are_tensors() -> None:
    def body(m: Any, x: torch.Tensor) -> Any:
        return m.q2(m.c(m.q(x)).clamp(m.lo, m.hi))

    model = Net(body, q=plain_identity(), c=conv(2, 3), q2=identity())
    model.register_buffer("lo", torch.tensor(-0.5))
    model.register_buffer("hi", torch.tensor(1.0))
    checked(model, IMAGE)
