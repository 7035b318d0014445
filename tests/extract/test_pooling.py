"""Pooling, means and padding: every spelling, on codes and between a layer and its quantiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.nn import GlobalAvgPool, QuantMean
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.max_pool2d import MaxPool2d
from ares.ops.mean import Mean
from ares.ops.zero_pad2d import ZeroPad2d
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
    plain_identity,
    refused,
    relu,
    seeded,
)

ZERO_POINT = {"act_quant": ShiftedUint8ActPerTensorFloat}
Operation = Callable[..., Any]

MAXIMA: dict[str, Callable[[], Operation]] = {
    "2": lambda: nn.MaxPool2d(2),
    "3, stride 2, padding 1": lambda: nn.MaxPool2d(3, 2, 1),
    "ceil_mode": lambda: nn.MaxPool2d(2, ceil_mode=True),
    "ceil_mode with padding": lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    "dilation": lambda: nn.MaxPool2d(2, 1, 0, 2),
    "(2, 1), stride (1, 2), padding (1, 0)": lambda: nn.MaxPool2d((2, 1), (1, 2), (1, 0)),
    "F.max_pool2d": lambda: lambda y: F.max_pool2d(y, 2),
    "F.max_pool2d, stride": lambda: lambda y: F.max_pool2d(y, (3, 2), (2, 1)),
    "F.max_pool2d, keywords": lambda: (
        lambda y: F.max_pool2d(
            y, kernel_size=3, stride=(2, 1), padding=1, dilation=1, ceil_mode=True
        )
    ),
    "torch.max_pool2d": lambda: lambda y: torch.max_pool2d(y, [2], padding=[1]),
}


def _layers(operation: Operation) -> dict[str, nn.Module]:
    return {"p": operation} if isinstance(operation, nn.Module) else {}


@pytest.mark.parametrize("options", [{}, ZERO_POINT], ids=["s8", "zero point"])
@pytest.mark.parametrize("case", MAXIMA)
def test_maximum_of_codes(case: str, options: dict[str, Any]) -> None:
    pool = MAXIMA[case]()
    model = Net(lambda m, x: pool(m.q(x)), q=plain_identity(**options), **_layers(pool))
    graph = checked(model, IMAGE, c=bool(options) and "padding" in case)
    assert kinds(graph) == ["quantize", "max_pool2d"]
    assert isinstance(graph.operations[1], MaxPool2d)


@pytest.mark.parametrize("case", MAXIMA)
def test_maximum_before_the_quantizer(case: str) -> None:
    pool = MAXIMA[case]()
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(pool(m.c(m.q(x)))),
            q=plain_identity(),
            c=conv(2, 3, padding=1, bias=True),
            r=relu(),
            **_layers(pool),
        )
    )
    assert kinds(checked(model, IMAGE)) == ["quantize", "conv2d", "max_pool2d"]


def test_maximum_of_a_quant_tensor_and_of_the_input() -> None:
    model = Net(lambda m, x: m.p(m.q(F.max_pool2d(x, 2, 1))), q=identity(), p=nn.MaxPool2d(2, 1))
    assert kinds(checked(model, IMAGE)) == ["quantize", "max_pool2d", "max_pool2d"]


# Operation, and the operation of the Graph.
AVERAGES: dict[str, tuple[Callable[[], Operation], str]] = {
    "2": (lambda: nn.AvgPool2d(2), "avg_pool2d"),
    "3, stride 1, padding 1": (lambda: nn.AvgPool2d(3, 1, 1), "avg_pool2d"),
    "(2, 3), stride (1, 2), padding (1, 0)": (
        lambda: nn.AvgPool2d((2, 3), (1, 2), (1, 0)),
        "avg_pool2d",
    ),
    "divisor_override": (lambda: nn.AvgPool2d(2, divisor_override=3), "avg_pool2d"),
    "no padding to count": (lambda: nn.AvgPool2d(3, 1, count_include_pad=False), "avg_pool2d"),
    "F.avg_pool2d": (lambda: lambda y: F.avg_pool2d(y, 2), "avg_pool2d"),
    "F.avg_pool2d, keywords": (
        lambda: lambda y: F.avg_pool2d(y, kernel_size=(2, 1), padding=(1, 0), divisor_override=5),
        "avg_pool2d",
    ),
    "GlobalAvgPool": (GlobalAvgPool, "global_avg_pool"),
    "AdaptiveAvgPool2d(1)": (lambda: nn.AdaptiveAvgPool2d(1), "global_avg_pool"),
    "F.adaptive_avg_pool2d": (
        lambda: lambda y: F.adaptive_avg_pool2d(y, (1, 1)),
        "global_avg_pool",
    ),
    "adaptive, divides": (lambda: nn.AdaptiveAvgPool2d((2, 5)), "avg_pool2d"),
    "adaptive, one axis": (lambda: nn.AdaptiveAvgPool2d((3, None)), "avg_pool2d"),
    "adaptive, nothing to do": (lambda: nn.AdaptiveAvgPool2d((6, 5)), "avg_pool2d"),
}


@pytest.mark.parametrize("case", AVERAGES)
def test_averages(case: str) -> None:
    """Of codes with a zero point, as Tensor and, to modules, as QuantTensor.

    What Brevitas says of the zero point of an average is wrong; its values are right.
    """
    make_pool, expected = AVERAGES[case]
    pool = make_pool()
    layers = _layers(pool)

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        return m.q2(pool(y.value)), m.q3(pool(y) if layers else pool(y.value))

    quantizers = {name: identity(**ZERO_POINT) for name in ("q", "q2", "q3")}
    graph = checked(
        Net(forward, **quantizers, **layers),
        IMAGE,
        c=case in ("AdaptiveAvgPool2d(1)", "3, stride 1, padding 1"),
    )
    assert kinds(graph) == ["quantize", expected, expected]


UNEVEN: dict[str, tuple[Callable[[], Operation], str]] = {
    "ceil_mode": (lambda: nn.AvgPool2d(2, ceil_mode=True), "uneven_avg_pool2d"),
    "ceil_mode with counted padding": (
        lambda: nn.AvgPool2d((4, 3), (3, 2), (1, 1), ceil_mode=True),
        "uneven_avg_pool2d",
    ),
    "uncounted padding": (
        lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        "uneven_avg_pool2d",
    ),
    "both": (
        lambda: nn.AvgPool2d((4, 3), (3, 2), (2, 1), ceil_mode=True, count_include_pad=False),
        "uneven_avg_pool2d",
    ),
    "ceil_mode, divisor_override": (
        lambda: nn.AvgPool2d(2, ceil_mode=True, divisor_override=3),
        "uneven_avg_pool2d",
    ),
    "uncounted padding, divisor_override": (
        lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False, divisor_override=7),
        "avg_pool2d",
    ),
    "adaptive": (lambda: nn.AdaptiveAvgPool2d((4, 3)), "adaptive_avg_pool2d"),
    "adaptive, one axis divides": (lambda: nn.AdaptiveAvgPool2d((3, 2)), "adaptive_avg_pool2d"),
    "adaptive, larger than the input": (
        lambda: nn.AdaptiveAvgPool2d((7, 11)),
        "adaptive_avg_pool2d",
    ),
}


@pytest.mark.parametrize("case", UNEVEN)
def test_averages_of_windows_of_several_sizes(case: str) -> None:
    make_pool, expected = UNEVEN[case]
    pool = make_pool()
    model = Net(
        lambda m, x: m.q2(m.p(m.q(x))),
        q=plain_identity(**ZERO_POINT),
        q2=identity(**ZERO_POINT),
        p=pool,
    )
    assert kinds(checked(model, IMAGE, c=case in ("both", "adaptive"))) == ["quantize", expected]


LINES: dict[str, tuple[Operation, list[str]]] = {
    "maximum": (lambda y: F.max_pool1d(y, 2), ["max_pool1d"]),
    "maximum, padded": (lambda y: F.max_pool1d(y, 3, 2, 1, ceil_mode=True), ["max_pool1d"]),
    "adaptive maximum": (lambda y: F.adaptive_max_pool1d(y, 4), ["adaptive_max_pool1d"]),
    "average": (lambda y: F.avg_pool1d(y, 2), ["avg_pool1d"]),
    "average, uncounted": (
        lambda y: F.avg_pool1d(y, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        ["avg_pool1d"],
    ),
    "maximum of tokens": (
        lambda y: F.max_pool1d(y.transpose(1, 2), 2),
        ["permute", "max_pool1d"],
    ),
    "average of tokens": (
        lambda y: F.avg_pool1d(y.transpose(1, 2), 3, 1),
        ["permute", "avg_pool1d"],
    ),
    "largest": (lambda y: y.amax(2), ["adaptive_max_pool1d", "squeeze"]),
    "largest of the tokens": (lambda y: y.amax(1), ["permute", "adaptive_max_pool1d", "squeeze"]),
    "largest of the tokens, kept": (
        lambda y: y.amax(1, keepdim=True),
        ["permute", "adaptive_max_pool1d", "squeeze"],
    ),
    "largest, kept": (lambda y: y.amax(-1, keepdim=True), ["adaptive_max_pool1d"]),
    "values of a maximum": (lambda y: y.max(2).values, ["adaptive_max_pool1d", "squeeze"]),
}


@pytest.mark.parametrize("case", LINES)
def test_pooling_along_one_axis(case: str) -> None:
    """Of codes with a zero point, and of a sum that waits for the quantiser behind (maxima only)."""
    function, expected = LINES[case]
    model = Net(lambda m, x: m.q2(function(m.q(x))), q=plain_identity(**ZERO_POINT), q2=identity())
    graph = checked(model, TOKENS, c=case in ("maximum, padded", "average of tokens"))
    found = kinds(graph)[1:]
    assert found == expected or found == [*expected, "requantize"]
    if "average" in case:
        return

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        return m.q2(function(y + y))

    waiting = Net(forward, q=plain_identity(**ZERO_POINT), q2=identity())
    assert kinds(checked(waiting, TOKENS)) == ["quantize", "add", *expected]


LARGEST: dict[str, tuple[Operation, list[str]]] = {
    "adaptive maximum": (lambda y: F.adaptive_max_pool2d(y, (4, 3)), ["adaptive_max_pool2d"]),
    "adaptive maximum of all": (nn.AdaptiveMaxPool2d(1), ["adaptive_max_pool2d"]),
    "both axes": (lambda y: y.amax((2, 3)), ["adaptive_max_pool2d", "squeeze"]),
    "channels": (lambda y: y.amax(1), ["permute", "adaptive_max_pool2d", "squeeze"]),
    "channels, kept": (
        lambda y: y.amax(1, keepdim=True),
        ["permute", "adaptive_max_pool2d", "squeeze"],
    ),
    "channels and rows": (
        lambda y: y.amax((2, 1)),
        ["permute", "adaptive_max_pool2d", "squeeze"],
    ),
    "one axis": (lambda y: torch.amax(y, dim=-1), ["adaptive_max_pool2d", "squeeze"]),
    "axis=, keepdims=": (
        lambda y: torch.amax(y, axis=(2,), keepdims=True),
        ["adaptive_max_pool2d"],
    ),
    "values": (
        lambda y: torch.max(y, 3, keepdim=True)[0],
        ["adaptive_max_pool2d"],
    ),
}


@pytest.mark.parametrize("case", LARGEST)
def test_the_largest_of_an_image(case: str) -> None:
    function, expected = LARGEST[case]
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(function(m.c(m.q(x)))),
            q=plain_identity(),
            c=conv(2, 3, padding=1, bias=True),
            r=relu(),
            **_layers(function),
        )
    )
    graph = checked(model, IMAGE, c=case == "adaptive maximum")
    assert kinds(graph) == ["quantize", "conv2d", *expected]


@pytest.mark.parametrize("negative", [False, True])
def test_a_factor_a_channel_behind_a_maximum(negative: bool) -> None:
    """One for each channel goes in front of it, a negative one does not."""
    factors = torch.tensor([0.5, -1.0 if negative else 2.0, 1.5])[None, :, None]
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.c(m.q(x)).amax(3) * m.factors),
            q=plain_identity(),
            c=conv(2, 3, padding=1, bias=True),
            r=relu(),
        )
    )
    model.register_buffer("factors", factors)
    if negative:
        assert "largest becomes smallest" in refused(calibrated(model, IMAGE), IMAGE).reason
    else:
        assert "adaptive_max_pool2d" in kinds(checked(model, IMAGE))


BEHIND: dict[str, tuple[Operation, list[str]]] = {
    "relu": (F.relu, []),
    "gelu": (F.gelu, []),
    "maximum": (lambda y: F.max_pool2d(y, 2, 1), ["max_pool2d"]),
    "gelu, flatten": (lambda y: F.gelu(y).flatten(1), ["flatten"]),
}


@pytest.mark.parametrize("case", BEHIND)
def test_functions_join_an_average(case: str) -> None:
    function, expected = BEHIND[case]
    model = Net(
        lambda m, x: m.q2(function(F.avg_pool2d(m.q(x), 2, 1))), q=plain_identity(), q2=identity()
    )
    graph = checked(model, IMAGE)
    assert kinds(graph) == ["quantize", "avg_pool2d", *expected]
    assert isinstance(graph.operations[1], AvgPool2d)


# Spelling -> axes, and whether they stay.
MEANS: dict[str, tuple[Operation, tuple[int, ...], bool]] = {
    "method": (lambda y: y.mean(1), (1,), False),
    "dim=-1": (lambda y: y.mean(dim=-1), (3,), False),
    "tuple": (lambda y: torch.mean(y, (2, 3)), (2, 3), False),
    "list, not neighbours": (lambda y: y.mean([1, 3]), (1, 3), False),
    "descending, keepdim": (lambda y: y.mean((3, 2), True), (2, 3), True),
    "all but the batch": (lambda y: y.mean(dim=(1, 2, 3)), (1, 2, 3), False),
    "axis=": (lambda y: torch.mean(y, axis=(1, 2)), (1, 2), False),
    "axis=, keepdims=": (lambda y: torch.mean(y, axis=2, keepdims=True), (2,), True),
    "input=": (lambda y: torch.mean(input=y, dim=2, keepdim=True), (2,), True),
}


@pytest.mark.parametrize("case", MEANS)
def test_means(case: str) -> None:
    function, axes, keepdim = MEANS[case]
    model = Net(lambda m, x: m.q2(function(m.q(x))), q=plain_identity(**ZERO_POINT), q2=identity())
    graph = checked(model, IMAGE, c="not neighbours" in case)
    mean = graph.operations[1]
    assert isinstance(mean, Mean)
    assert (mean.axes, mean.keepdim) == (axes, keepdim)


MODULES: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "tokens": (lambda: QuantMean(1), TOKENS),
    "features, kept": (lambda: QuantMean(-1, keepdim=True), TOKENS),
    "height and width": (lambda: QuantMean((2, 3), bit_width=4), IMAGE),
}


@pytest.mark.parametrize("case", MODULES)
def test_quant_mean(case: str) -> None:
    make, shape = MODULES[case]
    graph = checked(Net(lambda m, x: m.mean(m.q(x)), q=identity(), mean=make()), shape)
    assert [operation.name for operation in graph.operations] == ["q", "mean"]


# Spelling -> (top, left, bottom, right).
PADDINGS: dict[str, tuple[Callable[[], Operation], tuple[int, int, int, int]]] = {
    "ZeroPad2d, one-sided": (lambda: nn.ZeroPad2d((1, 0, 2, 0)), (2, 1, 0, 0)),
    "ZeroPad2d, number": (lambda: nn.ZeroPad2d(1), (1, 1, 1, 1)),
    "ConstantPad2d of zero": (lambda: nn.ConstantPad2d((0, 1, 0, 2), 0.0), (0, 0, 2, 1)),
    "F.pad": (lambda: lambda y: F.pad(y, (0, 3, 1, 0)), (1, 0, 0, 3)),
    "F.pad, width only": (lambda: lambda y: F.pad(y, [1, 2]), (0, 1, 0, 2)),
    "F.pad, keywords": (
        lambda: lambda y: F.pad(y, pad=(1, 1, 0, 0), mode="constant", value=0.0),
        (0, 1, 0, 1),
    ),
}


@pytest.mark.parametrize("options", [{}, ZERO_POINT], ids=["s8", "zero point"])
@pytest.mark.parametrize("case", PADDINGS)
def test_padding(case: str, options: dict[str, Any]) -> None:
    """Of codes, of the network's input, and between a convolution and its quantiser."""
    make_pad, expected = PADDINGS[case]
    pad = make_pad()

    def forward(m: Any, x: Any) -> Any:
        y = m.q(x)
        return pad(y), m.q2(pad(x)), m.q3(pad(m.c(y)))

    model = seeded(
        lambda: Net(
            forward,
            q=plain_identity(**options),
            q2=plain_identity(**options),
            q3=plain_identity(**options),
            c=conv(2, 2, bias=True, weight_quant=bq.Int8WeightPerChannelFloat),
            **_layers(pad),
        )
    )
    graph = checked(model, IMAGE, c=case == "F.pad" and bool(options))
    paddings = [op.padding for op in graph.operations if isinstance(op, ZeroPad2d)]
    assert paddings == [expected] * 3


INDICES: dict[str, Operation] = {
    "max": lambda y: y.max(3),
    "adaptive_max_pool2d": lambda y: torch.ops.aten.adaptive_max_pool2d(y, [3, 2]),
    "adaptive_max_pool1d": lambda y: torch.adaptive_max_pool1d(y[:, :, 0], 2),
}


@pytest.mark.parametrize("name", INDICES)
def test_indices_of_a_maximum(name: str) -> None:
    """What nothing uses does no harm; what is used is named."""

    def model(index: int) -> nn.Module:
        return Net(
            lambda m, x: m.q2(INDICES[name](m.q(x))[index].double()),
            q=plain_identity(),
            q2=plain_identity(),
        )

    finding = refused(calibrated(model(1), IMAGE), IMAGE)
    assert f"indices that {name} gives" in finding.reason
    assert finding.suggestion == "use its values only"
    assert kinds(checked(model(0), IMAGE))[0] == "quantize"
