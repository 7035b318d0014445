"""Activations with a scale for each channel, where they are exact: through all witnesses and C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from brevitas import nn as qnn
from brevitas.core.restrict_val import RestrictValueType
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerChannelFloat,
    Int32Bias,
    SignedBinaryActPerTensorConst,
    SignedTernaryActPerTensorConst,
    Uint8ActPerTensorFloat,
)
from torch import nn
from torch.nn import functional as F

from ares.nn import QuantAdd, QuantConv1dDepthwise
from tests.extract.channel_scales import (
    CHANNELS,
    SERIES,
    WIDE,
    by_channel,
    depthwise,
    on_depthwise,
    scales,
)
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
    relu,
    seeded,
)
from tests.slow import one_in


class LogUint8(Uint8ActPerTensorFloat):
    """As in brevitas_examples: the threshold is learned as a logarithm, and may become very small."""

    scaling_min_val = 2e-16
    restrict_scaling_type = RestrictValueType.LOG_FP


class ConvBlock(nn.Module):
    """Convolution, BatchNorm and QuantReLU as brevitas_examples' MobileNetV1 has them."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, groups: int = 1, *, per_channel: bool
    ) -> None:
        super().__init__()
        self.conv = conv(
            *(inputs, outputs, kernel),
            padding=kernel // 2,
            groups=groups,
            weight_quant=Int8WeightPerChannelFloat,
        )
        self.bn = nn.BatchNorm2d(outputs)
        options = by_channel(outputs, scaling_per_output_channel=per_channel)
        self.activation = relu(act_quant=LogUint8, bit_width=8, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.activation(self.bn(self.conv(x)))
        return result


def mobile_block() -> nn.Module:
    return nn.Sequential(
        identity(),
        ConvBlock(2, CHANNELS, 3, per_channel=True),
        ConvBlock(CHANNELS, CHANNELS, 3, CHANNELS, per_channel=False),
        ConvBlock(CHANNELS, 4, 1, per_channel=False),
    )


def test_a_block_of_mobilenet() -> None:
    model = seeded(mobile_block)
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph) == ["quantize", "conv2d", "conv2d", "conv2d"]
    assert len(set(scales(model, "1.activation.act_quant").tolist())) == CHANNELS
    # The limits of a QuantReLU are those of its codes: no table.
    assert not graph.operations[1].rescale.thresholds.size  # type: ignore[attr-defined]


def test_negative_and_zero_gammas() -> None:
    model = seeded(mobile_block)
    calibrated(model, IMAGE)
    norm: Any = model.get_submodule("1.bn")
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -1.0, 0.0, -0.3, 2.0, -2.0]))
        norm.bias.copy_(torch.tensor([0.0, 0.2, 0.5, -0.5, 0.1, 0.0]))
    checked(model, IMAGE, c=True, calibrate=False)


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], list[str]]] = {
    "the network's input": (on_depthwise, WIDE, ["quantize", "conv2d"]),
    "QuantReLU of the network's input": (
        lambda: on_depthwise(act=relu(**by_channel())),
        WIDE,
        ["quantize", "conv2d"],
    ),
    "arithmetic on the network's input": (
        lambda: Net(
            lambda m, x: m.out(m.dw(m.act(2.0 * x - 1.0))),
            act=identity(**by_channel()),
            dw=depthwise(),
            out=identity(),
        ),
        WIDE,
        ["quantize", "conv2d"],
    ),
    "four bits": (
        lambda: on_depthwise(act=identity(**by_channel(bit_width=4))),
        WIDE,
        ["quantize", "conv2d"],
    ),
    "narrow range": (
        lambda: on_depthwise(act=identity(**by_channel(narrow_range=True))),
        WIDE,
        ["quantize", "conv2d"],
    ),
    "another quantiser": (
        lambda: Net(
            lambda m, x: m.out(m.conv(m.one(m.act(x)))),
            act=identity(**by_channel()),
            one=identity(),
            conv=conv(CHANNELS, 4),
            out=identity(),
        ),
        WIDE,
        ["quantize", "batch_norm", "conv2d"],
    ),
    "behind another quantiser": (
        lambda: Net(
            lambda m, x: m.out(m.dw(m.act(m.one(x)))),
            one=identity(),
            act=identity(**by_channel()),
            dw=depthwise(),
            out=identity(),
        ),
        WIDE,
        ["quantize", "batch_norm", "conv2d"],
    ),
    "another of its kind": (
        lambda: on_depthwise(lambda m, x: m.more(x), more=relu(**by_channel(bit_width=6))),
        WIDE,
        ["quantize", "batch_norm", "conv2d"],
    ),
    "the same twice": (lambda: on_depthwise(lambda m, x: m.act(x)), WIDE, ["quantize", "conv2d"]),
    "max pooling": (
        lambda: on_depthwise(lambda m, x: m.pool(x), pool=nn.MaxPool2d(2)),
        WIDE,
        ["quantize", "max_pool2d", "conv2d"],
    ),
    "max pooling of a convolution": (
        lambda: Net(
            lambda m, x: m.out(m.dw(m.act(m.pool(m.bn(m.conv(m.q(x))))))),
            q=identity(),
            conv=conv(2, CHANNELS, padding=1),
            bn=nn.BatchNorm2d(CHANNELS),
            pool=nn.MaxPool2d(2),
            act=relu(**by_channel()),
            dw=depthwise(),
            out=identity(),
        ),
        IMAGE,
        ["quantize", "conv2d", "max_pool2d", "conv2d"],
    ),
    "average pooling": (
        lambda: Net(
            lambda m, x: m.out(m.pool(m.act(x))),
            act=plain_identity(**by_channel()),
            pool=nn.AvgPool2d(2),
            out=identity(),
        ),
        WIDE,
        ["quantize", "avg_pool2d"],
    ),
    "average pooling that stays apart": (
        lambda: on_depthwise(
            lambda m, x: m.more(F.avg_pool2d(x, 3, 1, 1)),
            act=plain_identity(**by_channel()),
            more=identity(**by_channel()),
        ),
        WIDE,
        ["quantize", "avg_pool2d", "conv2d"],
    ),
    "averages of windows of several sizes": (
        lambda: Net(
            lambda m, x: m.out(F.adaptive_avg_pool2d(m.act(x), (4, 3))),
            act=plain_identity(**by_channel()),
            out=identity(),
        ),
        WIDE,
        ["quantize", "adaptive_avg_pool2d"],
    ),
    "global average": (
        lambda: Net(
            lambda m, x: m.out(m.pool(m.act(x))),
            act=plain_identity(**by_channel()),
            pool=nn.AdaptiveAvgPool2d(1),
            out=identity(),
        ),
        WIDE,
        ["quantize", "global_avg_pool"],
    ),
    "mean of an image": (
        lambda: Net(
            lambda m, x: m.out(m.act(x).mean((2, 3))),
            act=plain_identity(**by_channel()),
            out=identity(),
        ),
        WIDE,
        ["quantize", "mean"],
    ),
    "mean of its rows": (
        lambda: Net(
            lambda m, x: m.out(m.act(x).mean(2, keepdim=True)),
            act=plain_identity(**by_channel()),
            out=identity(),
        ),
        WIDE,
        ["quantize", "mean"],
    ),
    "sum of a signal, channels last": (
        lambda: Net(
            lambda m, x: m.out(m.act(x).transpose(1, 2).sum(1)),
            act=plain_identity(**by_channel(rank=3)),
            out=identity(),
        ),
        SERIES,
        ["quantize", "permute", "mean"],
    ),
    "average of a signal": (
        lambda: Net(
            lambda m, x: m.out(F.avg_pool1d(m.act(x), 3, 2)),
            act=plain_identity(**by_channel(rank=3)),
            out=identity(),
        ),
        SERIES,
        ["quantize", "avg_pool1d"],
    ),
    "adaptive average of a signal": (
        lambda: Net(
            lambda m, x: m.out(F.adaptive_avg_pool1d(m.act(x), 4)),
            act=plain_identity(**by_channel(rank=3)),
            out=identity(),
        ),
        SERIES,
        ["quantize", "adaptive_avg_pool1d"],
    ),
    "depthwise of a signal": (
        lambda: Net(
            lambda m, x: m.out(m.dw(m.act(x))),
            act=identity(**by_channel(rank=3)),
            dw=qnn.QuantConv1d(CHANNELS, CHANNELS, 3, groups=CHANNELS, bias=True),
            out=identity(),
        ),
        SERIES,
        ["quantize", "conv1d"],
    ),
    "zero padding": (
        lambda: on_depthwise(lambda m, x: F.pad(m.idle(x), (1, 0, 2, 1)), idle=nn.Identity()),
        WIDE,
        ["quantize", "zero_pad2d", "conv2d"],
    ),
    "channels go and come back": (
        lambda: on_depthwise(lambda m, x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2)),
        WIDE,
        ["quantize", "permute", "permute", "conv2d"],
    ),
    "channels last, one scale": (
        lambda: Net(
            lambda m, x: m.out(m.fc(m.one(m.act(x).permute(0, 2, 3, 1)))),
            act=plain_identity(**by_channel()),
            one=identity(),
            fc=linear(CHANNELS, 4),
            out=identity(),
        ),
        WIDE,
        ["quantize", "permute", "batch_norm", "linear"],
    ),
    "flat maps of one element": (
        lambda: Net(
            lambda m, x: m.fc(m.one(torch.flatten(m.act(m.conv(m.q(x))), 1))),
            q=identity(),
            conv=conv(2, CHANNELS, (6, 5)),
            act=qnn.QuantReLU(**by_channel()),
            one=identity(),
            fc=linear(CHANNELS, 4),
        ),
        IMAGE,
        ["quantize", "conv2d", "flatten", "batch_norm", "linear_fp32"],
    ),
    "relu stays codes": (
        lambda: on_depthwise(lambda m, x: m.relu(x), relu=nn.ReLU()),
        WIDE,
        ["quantize", "relu", "conv2d"],
    ),
    "a function": (
        lambda: on_depthwise(lambda m, x: m.more(m.f(x)), f=nn.SiLU(), more=identity()),
        WIDE,
        ["quantize", "batch_norm", "conv2d"],
    ),
    "a function into channels": (
        lambda: on_depthwise(act=nn.Sequential(identity(), nn.SiLU(), identity(**by_channel()))),
        WIDE,
        ["quantize", "batch_norm", "conv2d"],
    ),
    "arithmetic": (
        lambda: on_depthwise(
            lambda m, x: m.more(1.5 - 0.5 * x), act=plain_identity(**by_channel()), more=identity()
        ),
        WIDE,
        ["quantize", "batch_norm", "conv2d"],
    ),
    "BatchNorm": (
        lambda: on_depthwise(
            lambda m, x: m.more(m.bn(x)), bn=nn.BatchNorm2d(CHANNELS), more=relu(**by_channel())
        ),
        WIDE,
        ["quantize", "batch_norm", "conv2d"],
    ),
    "PReLU": (
        lambda: on_depthwise(
            lambda m, x: m.more(m.prelu(x)), prelu=nn.PReLU(CHANNELS), more=identity()
        ),
        WIDE,
        ["quantize", "batch_norm", "conv2d"],
    ),
    "two outputs a channel": (
        lambda: on_depthwise(
            act=plain_identity(**by_channel()),
            dw=conv(CHANNELS, 2 * CHANNELS, groups=CHANNELS, bias=True),
        ),
        WIDE,
        ["quantize", "conv2d"],
    ),
    "integer bias, a weight scale a channel": (
        lambda: on_depthwise(
            dw=depthwise(bias=True, bias_quant=Int32Bias, weight_quant=Int8WeightPerChannelFloat)
        ),
        WIDE,
        ["quantize", "conv2d"],
    ),
    "input and output quantisers of layers": (
        lambda: Net(
            lambda m, x: m.dw(m.conv(x)),
            conv=conv(
                *(2, CHANNELS),
                input_quant=Int8ActPerTensorFixedPoint,
                output_quant=Int8ActPerTensorFixedPoint,
                **{f"output_{name}": value for name, value in by_channel().items()},
                return_quant_tensor=True,
            ),
            dw=depthwise(output_quant=Int8ActPerTensorFixedPoint),
        ),
        IMAGE,
        ["quantize", "conv2d", "conv2d"],
    ),
    "an input quantiser behind max pooling": (
        lambda: Net(
            lambda m, x: m.out(m.dw(m.pool(m.conv(m.q(x))))),
            q=identity(),
            conv=conv(2, CHANNELS),
            pool=nn.MaxPool2d(2),
            dw=depthwise(
                input_quant=Int8ActPerTensorFixedPoint,
                **{f"input_{name}": value for name, value in by_channel().items()},
            ),
            out=identity(),
        ),
        IMAGE,
        ["quantize", "conv2d", "max_pool2d", "conv2d"],
    ),
    "one dimension": (
        lambda: Net(
            lambda m, x: m.dw(m.act(x)),
            act=identity(**by_channel(rank=3)),
            dw=QuantConv1dDepthwise(CHANNELS, 3),
        ),
        SERIES,
        ["quantize", "conv1d_depthwise"],
    ),
    "binary": (
        lambda: on_depthwise(act=_binary()),
        WIDE,
        ["quantize", "conv2d"],
    ),
    "binary, of a layer": (
        lambda: Net(
            lambda m, x: m.out(m.dw(m.act(m.conv(m.q(x))))),
            q=identity(),
            conv=conv(2, CHANNELS, bias=True),
            act=_binary(),
            dw=depthwise(),
            out=identity(),
        ),
        IMAGE,
        ["quantize", "conv2d", "conv2d"],
    ),
    "binary, behind a limit": (
        lambda: Net(
            lambda m, x: m.out(m.dw(m.act(m.limit(m.conv(m.q(x)))))),
            q=identity(),
            conv=conv(2, CHANNELS, bias=True),
            limit=nn.Hardtanh(-0.1, 2.0),
            act=_binary(),
            dw=depthwise(),
            out=identity(),
        ),
        IMAGE,
        ["quantize", "conv2d", "conv2d"],
    ),
    "ternary, of a layer": (
        lambda: Net(
            lambda m, x: m.out(m.dw(m.act(m.conv(m.q(x))))),
            q=identity(),
            conv=conv(2, CHANNELS, bias=True),
            act=_binary(SignedTernaryActPerTensorConst),
            dw=depthwise(),
            out=identity(),
        ),
        IMAGE,
        ["quantize", "conv2d", "conv2d"],
    ),
    "a constant": (
        lambda: _WithParameter(),
        WIDE,
        ["constant", "conv2d", "quantize", "add"],
    ),
    "behind a concatenation of two scales": (
        lambda: on_depthwise(
            act=Net(
                lambda m, x: m.act(torch.cat([m.q(x)[:, :2], m.q2(x)[:, 2:]], 1)),
                q=plain_identity(),
                q2=plain_identity(bit_width=7),
                act=identity(**by_channel()),
            )
        ),
        WIDE,
        [*["quantize", "slice"] * 2, "batch_norm", "batch_norm", "concat", "conv2d"],
    ),
    "part of a concatenation": (
        lambda: Net(
            lambda m, x: m.out(torch.cat([m.act(x), m.q(x)], 1)),
            q=plain_identity(),
            act=plain_identity(**by_channel()),
            out=identity(),
        ),
        WIDE,
        ["quantize", "quantize", "batch_norm", "concat"],
    ),
}


def _binary(quantizer: Any = SignedBinaryActPerTensorConst) -> qnn.QuantIdentity:
    constants = torch.linspace(0.2, 0.7, CHANNELS).reshape(1, CHANNELS, 1, 1)
    return identity(act_quant=quantizer, **by_channel(scaling_init=constants))


class _WithParameter(nn.Module):
    """A learned tensor with a scale for each of its channels, which meets a depthwise layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.linspace(-2.0, 3.0, CHANNELS * 30).reshape(WIDE))
        self.act, self.dw, self.join = identity(**by_channel()), depthwise(), QuantAdd()
        self.out, self.q = identity(), identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.join(self.out(self.dw(self.act(self.table))), self.q(x))
        return result


@pytest.mark.parametrize("name", one_in(3, MODELS))
def test_taken(name: str) -> None:
    make, shape, expected = MODELS[name]
    graph = checked(seeded(make), shape, c=True, fixed_batch=name == "a constant")
    assert kinds(graph) == expected
    assert any(tensor.scale == 1.0 for tensor in graph.tensors), "no scale for each channel"
