"""An average, a mean or a sum behind a convolution or linear layer without a quantiser between: one exact operation."""

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

from ares.nn import GlobalAvgPool, QuantMean
from ares.ops.conv_sum import ConvSum
from tests.extract.behind import norm, trained
from tests.extract.channel_scales import by_channel
from tests.extract.models import (
    IMAGE,
    TOKENS,
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
from tests.extract.test_conv1d import SIGNAL, conv1d
from tests.slow import one_in


def _image(
    function: Callable[..., Any], n: Callable[[int], nn.Module] | None = None, **options: Any
) -> Callable[[], nn.Module]:
    """`function(model, y)` of what a convolution of an image computes, then a quantiser; n: a norm of six channels."""

    def make() -> nn.Module:
        layer = conv(2, 6, **{"bias": True, **options})
        own = {} if n is None else {"n": n(6)}
        return Net(
            lambda m, x: m.q2(function(m, m.c(m.q(x)))), q=identity(), c=layer, q2=identity(), **own
        )

    return make


def _other(
    layer: Callable[[], nn.Module], function: Callable[..., Any], last: Any = identity
) -> Callable[[], nn.Module]:
    return lambda: Net(
        lambda m, x: m.q2(function(m, m.c(m.q(x)))), q=plain_identity(), c=layer(), q2=last()
    )


# The model, its input's shape, and what stands behind the first quantiser.
AVERAGES: dict[str, tuple[Callable[[], nn.Module], Shape, list[str]]] = {
    "AvgPool2d": (_image(lambda m, y: F.avg_pool2d(y, 2)), IMAGE, ["conv_sum"]),
    "AvgPool2d that overlaps": (
        _image(lambda m, y: F.avg_pool2d(y, (3, 2), 1)),
        IMAGE,
        ["conv_sum"],
    ),
    "divisor_override": (
        _image(lambda m, y: F.avg_pool2d(y, 2, divisor_override=3)),
        IMAGE,
        ["conv_sum"],
    ),
    "padded, no bias": (
        _image(lambda m, y: F.avg_pool2d(y, 3, 2, 1), bias=False),
        IMAGE,
        ["conv_sum"],
    ),
    "padded, BatchNorm behind": (
        _image(lambda m, y: m.n(F.avg_pool2d(y, 3, 2, 1)), bias=False, n=nn.BatchNorm2d),
        IMAGE,
        ["conv_sum"],
    ),
    "AdaptiveAvgPool2d(1), flatten": (
        _image(lambda m, y: F.adaptive_avg_pool2d(y, 1).flatten(1)),
        IMAGE,
        ["conv_sum", "flatten"],
    ),
    "AdaptiveAvgPool2d that divides": (
        _image(lambda m, y: F.adaptive_avg_pool2d(y, (2, 1)), padding=1),
        (1, 2, 4, 5),
        ["conv_sum"],
    ),
    "AdaptiveAvgPool2d, windows that overlap alike": (
        _image(lambda m, y: F.adaptive_avg_pool2d(y, (3, 2))),
        IMAGE,
        ["conv_sum"],
    ),
    "mean of both": (_image(lambda m, y: y.mean((2, 3))), IMAGE, ["conv_sum", "squeeze"]),
    "mean of one, kept": (_image(lambda m, y: y.mean(2, keepdim=True)), IMAGE, ["conv_sum"]),
    "mean of columns": (_image(lambda m, y: torch.mean(y, -1)), IMAGE, ["conv_sum", "squeeze"]),
    "sum": (
        _image(lambda m, y: y.sum((2, 3)), bias_quant=bq.Int32Bias),
        IMAGE,
        ["conv_sum", "squeeze"],
    ),
    "flat, then the mean": (
        _image(lambda m, y: y.flatten(2).mean(-1)),
        IMAGE,
        ["conv_sum", "squeeze"],
    ),
    "channels last, then the mean": (
        _image(lambda m, y: y.permute(0, 2, 3, 1).mean((1, 2))),
        IMAGE,
        ["conv_sum", "squeeze"],
    ),
    "BatchNorm and arithmetic before, a function behind": (
        _image(lambda m, y: F.gelu(2 * m.n(y).mean((2, 3)) - 1), bias=False, n=nn.BatchNorm2d),
        IMAGE,
        ["conv_sum", "squeeze"],
    ),
    "BatchNorm of every sign": (
        _other(lambda: nn.Sequential(conv(2, 6, bias=True), norm(6)), lambda m, y: y.mean((2, 3))),
        IMAGE,
        ["conv_sum", "squeeze"],
    ),
    "depthwise, a scale for each channel": (
        lambda: Net(
            lambda m, x: m.q2(m.p(m.c(m.q(x)))),
            q=plain_identity(**by_channel(2)),
            c=conv(2, 4, groups=2, bias=True),
            p=GlobalAvgPool(),
            q2=identity(),
        ),
        IMAGE,
        ["conv_sum"],
    ),
    "of a signal": (
        _other(lambda: conv1d(4, 6, bias=True), lambda m, y: F.avg_pool1d(y, 3)),
        SIGNAL,
        ["conv_sum"],
    ),
    "of a signal, to three": (
        _other(lambda: conv1d(4, 6), lambda m, y: F.adaptive_avg_pool1d(y, 3)),
        SIGNAL,
        ["conv_sum"],
    ),
    "of a signal, QuantReLU": (
        _other(lambda: conv1d(4, 6, dilation=2), lambda m, y: y.mean(-1), relu),
        SIGNAL,
        ["conv_sum", "squeeze"],
    ),
    "of channels in two groups": (
        _image(lambda m, y: y.reshape(y.shape[0], 2, 3, -1).mean(-1)),
        IMAGE,
        ["conv_sum", "reshape"],
    ),
    "of tokens": (
        _other(lambda: linear(6, 5), lambda m, y: y.mean(1)),
        TOKENS,
        ["conv_sum", "squeeze"],
    ),
    "of tokens, kept": (
        _other(lambda: linear(6, 5), lambda m, y: y.mean(1, keepdim=True)),
        TOKENS,
        ["conv_sum"],
    ),
    "of tokens, transposed": (
        _other(
            lambda: linear(6, 5),
            lambda m, y: F.adaptive_avg_pool1d(y.transpose(1, 2), 1).squeeze(-1),
        ),
        TOKENS,
        ["conv_sum", "squeeze", "squeeze"],
    ),
    "of tokens of an image": (
        _other(lambda: linear(5, 4), lambda m, y: y.mean(2)),
        IMAGE,
        ["conv_sum", "squeeze"],
    ),
    "QuantMean": (
        lambda: Net(
            lambda m, x: m.mean(m.c(m.q(x))), q=identity(), c=linear(6, 5), mean=QuantMean(dim=1)
        ),
        TOKENS,
        ["conv_sum", "squeeze"],
    ),
    "a zero point": (
        lambda: Net(
            lambda m, x: m.q2(F.avg_pool2d(m.c(m.q(x)), 2)),
            q=plain_identity(act_quant=ShiftedUint8ActPerTensorFloat),
            c=conv(2, 3, padding=1, bias=True),
            q2=identity(act_quant=ShiftedUint8ActPerTensorFloat),
        ),
        IMAGE,
        ["conv_sum"],
    ),
}


@pytest.mark.parametrize("case", one_in(3, AVERAGES))
def test_averages(case: str) -> None:
    make, shape, expected = AVERAGES[case]
    graph = checked(trained(make, shape), shape, c=True, calibrate=False)
    assert kinds(graph) == ["quantize", *expected]
    assert graph.operations[1].name in ("c", "c.0")


def test_ties_of_an_average_of_six() -> None:
    """A sixth has no multiplier that is exact: the steps of the sum are stored."""
    make = _other(
        lambda: conv(2, 3, 1, weight_quant=bq.Int8WeightPerTensorFixedPoint),
        lambda m, y: y.mean((2, 3)),
        lambda: identity(act_quant=bq.Int8ActPerTensorFixedPoint),
    )

    def power_of_two() -> nn.Module:
        model = make()
        model.q = plain_identity(act_quant=bq.Int8ActPerTensorFixedPoint)
        return model

    graph = checked(trained(power_of_two, (1, 2, 2, 3)), (1, 2, 2, 3), c=True, calibrate=False)
    operation = graph.operations[1]
    assert isinstance(operation, ConvSum)
    assert operation.rescale.thresholds.size


# Networks that end with an average: (model, shape, what stands behind the first quantiser).
LOGITS: dict[str, tuple[Callable[[], nn.Module], Shape, list[str]]] = {
    "a convolution for each class": (
        lambda: Net(
            lambda m, x: m.p(m.c(m.q(x))).flatten(1),
            q=identity(),
            c=conv(2, 5, 1, bias=True),
            p=nn.AdaptiveAvgPool2d(1),
        ),
        IMAGE,
        ["conv_fp32", "flatten"],
    ),
    "an integer bias, BatchNorm": (
        lambda: Net(
            lambda m, x: m.n(m.c(m.q(x))).mean((2, 3)),
            q=identity(),
            c=conv(2, 6, bias=True, bias_quant=bq.Int32Bias),
            n=norm(6),
        ),
        IMAGE,
        ["conv_fp32", "squeeze"],
    ),
    "of tokens": (
        lambda: Net(lambda m, x: m.f(m.q(x)).mean(1), q=identity(), f=linear(6, 5)),
        TOKENS,
        ["conv_fp32", "squeeze"],
    ),
    "of a signal, scaled": (
        lambda: Net(
            lambda m, x: m.c(m.q(x)).mean(-1) / 10, q=plain_identity(), c=conv1d(4, 3, bias=True)
        ),
        SIGNAL,
        ["conv_fp32", "squeeze"],
    ),
}


@pytest.mark.parametrize("case", one_in(2, LOGITS))
def test_a_network_that_ends_with_an_average(case: str) -> None:
    make, shape, expected = LOGITS[case]
    graph = checked(trained(make, shape), shape, c=True, calibrate=False)
    assert kinds(graph) == ["quantize", *expected]


def _refused(
    function: Callable[..., Any], layer: Callable[[], nn.Module] = lambda: conv(2, 6, bias=True)
) -> Callable[[bool], nn.Module]:
    """As it is, or with the QuantIdentity that is advised."""
    return lambda mend: Net(
        lambda m, x: m.q2(function(m, m.c(m.q(x)))),
        q=identity(),
        c=layer(),
        e=qnn.QuantIdentity() if mend else nn.Identity(),
        q2=identity(),
    )


REFUSED: dict[str, tuple[Callable[[bool], nn.Module], str, str, str]] = {
    "a function between": (
        _refused(lambda m, y: m.e(F.relu(y)).mean((2, 3))),
        *("mean", "its input is the real output of c (QuantConv2d), which is not quantised"),
        "insert a QuantIdentity before it",
    ),
    "of channels": (
        _refused(lambda m, y: m.e(y).mean(1)),
        *("mean", "its input is the real output of c"),
        "insert a QuantIdentity before it",
    ),
    "of a maximum": (
        _refused(lambda m, y: m.e(F.max_pool2d(y, 2)).mean((2, 3))),
        *("mean", "its input is the real output of c"),
        "insert a QuantIdentity before it",
    ),
    "of reflected borders": (
        _refused(lambda m, y: F.pad(m.e(y), (1, 2, 0, 3), mode="reflect").mean((2, 3))),
        *("mean", "its input is the real output of c"),
        "insert a QuantIdentity before it",
    ),
    "of an uneven upsampling": (
        _refused(lambda m, y: F.interpolate(m.e(y), size=(11, 9)).sum((2, 3))),
        *("sum", "its input is the real output of c"),
        "insert a QuantIdentity before it",
    ),
    "of repeated positions": (
        _refused(lambda m, y: m.e(y).repeat(1, 1, 2, 2).mean((2, 3))),
        *("mean", "its input is the real output of c"),
        "insert a QuantIdentity before it",
    ),
    "padding behind a bias": (
        _refused(lambda m, y: F.avg_pool2d(m.e(y), 3, 1, 1)),
        *("avg_pool2d", "which has a bias, and its padding has none"),
        "insert a QuantIdentity before it, or average without padding",
    ),
    "padding behind a sum": (
        _refused(lambda m, y: F.avg_pool2d(m.e(y + 1), 3, 1, 1), lambda: conv(2, 6)),
        *("avg_pool2d", "and a number added to it, and its padding has none"),
        "insert a QuantIdentity before it, or average without padding",
    ),
    "windows of several sizes": (
        _refused(lambda m, y: F.adaptive_avg_pool2d(m.e(y), (4, 3)), lambda: conv(2, 6, padding=1)),
        *("adaptive_avg_pool2d", "its input is the real output of c"),
        "insert a QuantIdentity before it",
    ),
}


@pytest.mark.parametrize("case", one_in(2, REFUSED))
def test_refused_with_advice_that_works(case: str) -> None:
    make, layer, reason, advice = REFUSED[case]
    finding = refused(trained(lambda: make(False)), IMAGE)
    assert finding.layer == layer
    assert reason in finding.reason, str(finding)
    assert advice in finding.suggestion
    checked(trained(lambda: make(True)), IMAGE, calibrate=False)


def test_padding_behind_a_bias_is_left_out_as_advised() -> None:
    checked(trained(_image(lambda m, y: F.avg_pool2d(y, 3, 1))), IMAGE, calibrate=False)


def test_a_sum_that_leaves_int32_is_refused() -> None:
    """66 weights of 127 for each of 1024 results: 2.2e9."""

    def make(mend: bool) -> nn.Module:
        layer = conv(66, 1, 1, weight_quant=bq.Int8WeightPerTensorFloat)
        layer.weight.data.fill_(0.5)
        return Net(
            lambda m, x: m.q2(m.e(m.c(m.q(x))).mean((2, 3))),
            q=identity(act_quant=bq.Uint8ActPerTensorFloat),
            c=layer,
            e=qnn.QuantIdentity() if mend else nn.Identity(),
            q2=identity(),
        )

    shape = (1, 66, 32, 32)
    finding = refused(calibrated(make(False), shape), shape)
    assert finding.layer == "mean"
    reached = 66 * 127 * 255 * 1024
    assert f"sums of 1024 results could reach {reached}, int32 ends at 2147483647" in finding.reason
    assert finding.suggestion == "insert a QuantIdentity before it"
    checked(make(True), shape)


# What stands behind an average of codes -> the average's operation: it has a factor for each channel.


class _Stack(nn.Module):
    """A float network: a function stands between its convolution and its average."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(2, 6, 3), nn.ReLU()
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(torch.flatten(self.pool(self.relu(self.conv(x))), 1))
        return result


@pytest.mark.filterwarnings("ignore")
def test_the_advice_is_followed_in_a_graph_module() -> None:
    """As docs/migration.md writes it: a node more, in front of the pooling."""
    from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize

    model: Any = layerwise_quantize(preprocess_for_quantize(seeded(_Stack).eval()))
    finding = refused(calibrated(model, IMAGE), IMAGE)
    assert (finding.layer, finding.suggestion) == ("pool", "insert a QuantIdentity before it")
    node = next(node for node in model.graph.nodes if node.name == "pool")
    model.add_module("quant_pool", qnn.QuantIdentity())
    with model.graph.inserting_before(node):
        node.args = (model.graph.call_module("quant_pool", (node.args[0],)),)
    model.recompile()
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph) == ["quantize", "conv2d", "global_avg_pool", "flatten", "linear_fp32"]


@pytest.mark.filterwarnings("ignore")
def test_a_graph_module_with_nothing_between_the_two() -> None:
    from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize

    stack = seeded(_Stack).eval()
    stack.relu = nn.Identity()
    model = layerwise_quantize(preprocess_for_quantize(stack))
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph) == ["quantize", "conv_sum", "flatten", "linear_fp32"]
