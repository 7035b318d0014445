"""QuantConv2d: geometry, groups, weights, biases, quantisers of its own, and the activation behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brevitas.inject.enum import ScalingImplType
from brevitas.quant.fixed_point import (
    Int8BiasPerTensorFixedPointInternalScaling,
    Int8WeightPerChannelFixedPoint,
)
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.ops.conv2d import Conv2d
from tests.extract.models import (
    IMAGE,
    Net,
    Shape,
    calibrated,
    checked,
    conv,
    identity,
    kinds,
    plain_identity,
    relu,
    seeded,
)
from tests.slow import one_in

ZERO_POINT = {"act_quant": ShiftedUint8ActPerTensorFloat}


def _net(source: dict[str, Any], *arguments: Any, **options: Any) -> nn.Module:
    """Conv, QuantReLU behind a quantiser with these options."""

    def make() -> nn.Module:
        layer = conv(2, *arguments, **options)
        return Net(lambda m, x: m.r(m.c(m.q(x))), q=plain_identity(**source), c=layer, r=relu())

    return seeded(make)


# What a layer is built with -> (top, left, bottom, right) of the Graph.
GEOMETRY: dict[str, tuple[tuple[Any, ...], dict[str, Any], tuple[int, int, int, int]]] = {
    "1x1": ((3, 1), {}, (0, 0, 0, 0)),
    "3x3, padding 1": ((3, 3), {"padding": 1}, (1, 1, 1, 1)),
    "2x3, stride (2, 1), padding (1, 0)": (
        (3, (2, 3)),
        {"stride": (2, 1), "padding": (1, 0)},
        (1, 0, 1, 0),
    ),
    "5x4 with padding beyond half": ((3, (5, 4)), {"padding": (3, 4)}, (3, 4, 3, 4)),
    "as large as the input": ((3, (6, 5)), {}, (0, 0, 0, 0)),
    "valid": ((3, (2, 4)), {"padding": "valid"}, (0, 0, 0, 0)),
    "same": ((3, 3), {"padding": "same"}, (1, 1, 1, 1)),
    "same, even kernel": ((3, (2, 4)), {"padding": "same"}, (0, 1, 1, 2)),
    "same, dilated": ((3, 2), {"padding": "same", "dilation": (3, 1)}, (1, 0, 2, 1)),
    "same, stride 2": ((3, 3), {"padding": "same", "stride": 2}, (0, 1, 1, 1)),
    "same, stride (3, 2), dilated": (
        (3, 2),
        {"padding": "same", "stride": (3, 2), "dilation": 2},
        (0, 1, 0, 1),
    ),
    "dilation 2": ((3, 3), {"dilation": 2, "padding": 2}, (2, 2, 2, 2)),
    "dilation (1, 2)": ((3, 3), {"dilation": (1, 2)}, (0, 0, 0, 0)),
    "groups": ((4, 3), {"groups": 2}, (0, 0, 0, 0)),
    "depthwise": ((2, 3), {"groups": 2, "padding": 1}, (1, 1, 1, 1)),
    "depthwise, three outputs a channel": ((6, (1, 3)), {"groups": 2}, (0, 0, 0, 0)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("source", [{}, ZERO_POINT], ids=["s8", "zero point"])
@pytest.mark.parametrize("case", one_in(3, GEOMETRY))
def test_geometry(case: str, source: dict[str, Any]) -> None:
    arguments, options, padding = GEOMETRY[case]
    graph = checked(_net(source, *arguments, **options), IMAGE)
    assert kinds(graph) == ["quantize", "conv2d"]
    layer = graph.operations[1]
    assert isinstance(layer, Conv2d)
    assert layer.padding == padding


@pytest.mark.parametrize(
    "case", ["2x3, stride (2, 1), padding (1, 0)", "same, stride 2", "dilation (1, 2)", "groups"]
)
def test_geometry_in_c(case: str) -> None:
    arguments, options, _ = GEOMETRY[case]
    checked(_net(ZERO_POINT, *arguments, **options, bias=True), IMAGE, c=True)


@pytest.mark.parametrize("source", [{}, ZERO_POINT], ids=["s8", "zero point"])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_with_its_own_codes(mode: str, source: dict[str, Any]) -> None:
    """A frame of the image's own codes is a layer in front of the convolution."""
    model = _net(source, 3, (3, 5), padding=(1, 2), padding_mode=mode)
    graph = checked(model, IMAGE, c=mode == "reflect")
    assert kinds(graph) == ["quantize", "pad2d", "conv2d"]
    assert graph.operations[1].name == "c.padded"


def test_padding_with_its_own_codes_where_there_is_none() -> None:
    graph = checked(_net({}, 3, 3, padding_mode="circular"), IMAGE)
    assert kinds(graph) == ["quantize", "conv2d"]


WEIGHTS: dict[str, tuple[dict[str, Any], int]] = {
    "per tensor": ({}, 127),
    "per channel": ({"weight_quant": bq.Int8WeightPerChannelFloat}, 127),
    "per tensor, power of two": ({"weight_quant": bq.Int8WeightPerTensorFixedPoint}, 127),
    "per channel, power of two": ({"weight_quant": Int8WeightPerChannelFixedPoint}, 127),
    "full range": ({"weight_narrow_range": False}, 128),
    "4 bits": ({"weight_bit_width": 4}, 7),
    "3 bits, per channel": (
        {"weight_bit_width": 3, "weight_quant": bq.Int8WeightPerChannelFloat},
        3,
    ),
    "2 bits": ({"weight_bit_width": 2}, 1),
    "2 bits, full range": ({"weight_bit_width": 2, "weight_narrow_range": False}, 2),
    "ternary": ({"weight_quant": bq.SignedTernaryWeightPerTensorConst}, 1),
    "learned scale": ({"weight_scaling_impl_type": ScalingImplType.PARAMETER_FROM_STATS}, 127),
    "constant scale, clipped": (
        {"weight_scaling_impl_type": ScalingImplType.CONST, "weight_scaling_init": 0.1},
        127,
    ),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights(case: str) -> None:
    options, largest = WEIGHTS[case]
    graph = checked(_net({}, 3, 3, **options), IMAGE)
    layer = graph.operations[1]
    assert isinstance(layer, Conv2d)
    assert layer.weight.dtype == np.int8
    reached = int(np.abs(layer.weight.astype(int)).max())
    # A scale that is a power of two leaves up to half of the range unused.
    assert largest // 2 < reached <= largest
    assert reached == largest or "power of two" in case
    scales = 3 if "per channel" in case else 1
    assert layer.rescale.channels == scales or "power of two" in case


BIASES: dict[str, dict[str, Any]] = {
    "none": {"bias": False},
    "float": {},
    "float, per channel": {"weight_quant": bq.Int8WeightPerChannelFloat},
    "Int32Bias": {"bias_quant": bq.Int32Bias},
    "Int32Bias, per channel": {
        "bias_quant": bq.Int32Bias,
        "weight_quant": bq.Int8WeightPerChannelFloat,
    },
    "Int16Bias": {"bias_quant": bq.Int16Bias},
    "Int8Bias, which clips": {"bias_quant": bq.Int8Bias},
    "Int8Bias, narrow": {"bias_quant": bq.Int8Bias, "bias_narrow_range": True},
    "own scale": {"bias_quant": bq.Int8BiasPerTensorFloatInternalScaling},
    "own scale, power of two": {"bias_quant": Int8BiasPerTensorFixedPointInternalScaling},
}


@pytest.mark.parametrize("tensors", [False, True], ids=["Tensor", "QuantTensor"])
@pytest.mark.parametrize("case", one_in(3, BIASES))
def test_biases(case: str, tensors: bool) -> None:
    """With a QuantTensor behind the layer, and without; the input's quantiser has to hand one on."""
    options = {"bias": True, "return_quant_tensor": tensors, **BIASES[case]}

    def make() -> nn.Module:
        return Net(
            lambda m, x: m.r(m.c(m.q(x))),
            q=identity(),
            c=conv(2, 3, **options),
            r=relu(bit_width=6),
        )

    graph = checked(seeded(make), IMAGE)
    assert kinds(graph) == ["quantize", "conv2d"]


OWN_QUANTIZERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "input": ({"input_quant": bq.Int8ActPerTensorFloat}, ["quantize", "requantize", "conv2d"]),
    "input, 4 bits": (
        {"input_quant": bq.Int8ActPerTensorFloat, "input_bit_width": 4},
        ["quantize", "requantize", "conv2d"],
    ),
    "input, zero point": (
        {"input_quant": ShiftedUint8ActPerTensorFloat},
        ["quantize", "requantize", "conv2d"],
    ),
    "output": (
        {"output_quant": bq.Int8ActPerTensorFloat},
        ["quantize", "conv2d", "relu"],
    ),
    "output, as QuantTensor": (
        {"output_quant": bq.Int8ActPerTensorFloat, "return_quant_tensor": True},
        ["quantize", "conv2d", "relu"],
    ),
    "both": (
        {"input_quant": bq.Int8ActPerTensorFloat, "output_quant": bq.Uint8ActPerTensorFloat},
        ["quantize", "requantize", "conv2d"],  # the codes behind it are never negative
    ),
}


@pytest.mark.parametrize("case", OWN_QUANTIZERS)
def test_quantizers_of_the_layer(case: str) -> None:
    options, expected = OWN_QUANTIZERS[case]
    graph = checked(_net({}, 3, 3, bias=True, **options), IMAGE)
    assert kinds(graph) == expected


def test_the_layer_may_quantise_the_input_of_the_network() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.c(x)), c=conv(2, 3, input_quant=bq.Int8ActPerTensorFloat), r=relu()
        )
    )
    graph = checked(model, IMAGE)
    assert [operation.name for operation in graph.operations] == ["c.input_quant", "c"]


# What stands between the convolution and its quantiser -> the operations of the Graph.
BEHIND: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "F.relu": (F.relu, ["conv2d"]),
    "torch.relu, flatten": (lambda y: torch.relu(y).flatten(1), ["conv2d", "flatten"]),
    "F.gelu": (F.gelu, ["conv2d"]),
    "F.gelu, tanh": (lambda y: F.gelu(y, approximate="tanh"), ["conv2d"]),
    "gelu, relu": (lambda y: F.gelu(y).relu(), ["conv2d"]),
    "maximum": (lambda y: F.max_pool2d(y, 2, 1), ["conv2d", "max_pool2d"]),
    "maximum with padding, relu": (
        lambda y: F.max_pool2d(y, 3, 2, 1).relu(),
        ["conv2d", "max_pool2d"],
    ),
    "gelu, maximum": (lambda y: F.max_pool2d(F.gelu(y), 2), ["conv2d", "max_pool2d"]),
    "padding, gelu": (lambda y: F.gelu(F.pad(y, (1, 0, 2, 0))), ["conv2d", "zero_pad2d"]),
    "flatten, transpose": (
        lambda y: y.flatten(2).transpose(1, 2),
        ["conv2d", "flatten", "permute"],
    ),
}


@pytest.mark.parametrize("options", [{}, ZERO_POINT], ids=["s8", "zero point"])
@pytest.mark.parametrize("case", one_in(3, BEHIND))
def test_what_stands_before_the_quantizer_joins_the_layer(
    case: str, options: dict[str, Any]
) -> None:
    function, expected = BEHIND[case]

    def make() -> nn.Module:
        return Net(
            lambda m, x: m.q2(function(m.c(m.q(x)))),
            q=plain_identity(**options),
            c=conv(2, 3, padding=1, bias=True, weight_quant=bq.Int8WeightPerChannelFloat),
            q2=identity(**options),
        )

    graph = checked(seeded(make), IMAGE, c=bool(options) and "gelu" in case)
    assert kinds(graph) == ["quantize", *expected]


def test_two_quantizers_make_two_layers() -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.c(m.q(x))
        return m.r(y), m.q2(F.gelu(y)), m.q3(F.max_pool2d(y, 2))

    model = seeded(
        lambda: Net(
            forward, q=identity(), c=conv(2, 2), r=relu(), q2=identity(), q3=identity(bit_width=4)
        )
    )
    graph = checked(model, IMAGE, c=True)
    assert [operation.name for operation in graph.operations] == [
        "q",
        "c",
        "c#1",
        "c#2",
        "max_pool2d",
    ]


def test_the_same_layer_twice_with_a_bias_in_two_scales() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.c(m.r(m.c(m.q(x))))),
            q=identity(),
            c=conv(2, 2, bias=True, bias_quant=bq.Int32Bias),
            r=relu(),
        )
    )
    graph = checked(model, IMAGE, c=True)
    first, second = (op for op in graph.operations if isinstance(op, Conv2d))
    assert (first.name, second.name) == ("c", "c#1")
    assert not np.array_equal(first.rescale.offset, second.rescale.offset)


ZERO_WEIGHTS: dict[str, Callable[[Any], None]] = {
    "one channel": lambda weight: weight[0].zero_(),
    "all": lambda weight: weight.zero_(),
}


@pytest.mark.parametrize("bias", [{}, {"bias_quant": bq.Int32Bias}], ids=["float", "Int32Bias"])
@pytest.mark.parametrize("case", ZERO_WEIGHTS)
def test_weights_that_are_zero(case: str, bias: dict[str, Any]) -> None:
    """Their scale is Brevitas' smallest, 7.9e-13, and a bias in it is an enormous integer."""

    def make() -> nn.Module:
        layer = conv(2, 2, bias=True, weight_quant=bq.Int8WeightPerChannelFloat, **bias)
        ZERO_WEIGHTS[case](layer.weight.data)
        return Net(lambda m, x: m.r(m.c(m.q(x))), q=identity(), c=layer, r=relu())

    checked(seeded(make), IMAGE)


BIAS_VALUES: dict[str, list[float]] = {
    "saturates": [1e9, -1e9],
    "against the sum": [30.0, -30.0],
}


@pytest.mark.parametrize("case", BIAS_VALUES)
def test_large_biases(case: str) -> None:
    def make() -> nn.Module:
        layer = conv(2, 2, bias=True)
        return Net(lambda m, x: m.r(m.c(m.q(x))), q=identity(), c=layer, r=relu())

    model: Any = calibrated(seeded(make), IMAGE)
    model.c.bias.data.copy_(torch.tensor(BIAS_VALUES[case]))
    checked(model, IMAGE, calibrate=False)


SHAPES: dict[str, Shape] = {"one pixel": (1, 2, 1, 1), "one row": (1, 2, 1, 9)}


@pytest.mark.parametrize("case", SHAPES)
def test_images_that_are_small(case: str) -> None:
    checked(_net({}, 3, 3, padding=1), SHAPES[case])
