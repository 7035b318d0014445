"""Scales for each channel as numbers: limits, ties, thresholds, zero points, and what the witness sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    ShiftedUint8ActPerTensorFloat,
)
from torch import nn

from ares.extract import extract
from ares.ir import Graph
from ares.ops import run_reference
from ares.witness import Witness
from tests.extract.channel_scales import (
    CHANNELS,
    WIDE,
    by_channel,
    depthwise,
    on_depthwise,
    scales,
    set_collected,
    set_scales,
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
    refused,
    seeded,
    tensor_quant,
)
from tests.extract.test_channel_scales import MODELS, mobile_block


def _limited(limit: nn.Module) -> nn.Module:
    return Net(
        lambda m, x: m.out(m.dw(m.act(m.limit(m.conv(m.q(x)))))),
        q=identity(),
        conv=conv(2, CHANNELS, bias=True),
        limit=limit,
        act=identity(**by_channel()),
        dw=depthwise(),
        out=identity(),
    )


LIMITS: dict[str, tuple[Callable[[], nn.Module], bool, int]] = {
    "relu": (nn.ReLU, False, 0),
    "relu6 above all codes": (nn.ReLU6, False, 0),
    "between the codes": (lambda: nn.Hardtanh(-0.05, 0.25), True, -128),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_in_codes(name: str) -> None:
    """A limit beyond the codes of all channels is none; one between their codes is another number for each channel."""
    make, has_own_steps, lowest = LIMITS[name]
    model = calibrated(seeded(lambda: _limited(make())), IMAGE)
    if has_own_steps:
        set_scales(model, "act.act_quant", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    graph = checked(model, IMAGE, c=True, calibrate=False)
    assert _layer(graph, "conv").rescale.has_own_steps == has_own_steps
    assert graph.tensor("conv").lo == lowest


def _layer(graph: Graph, name: str) -> Any:
    return next(operation for operation in graph.operations if operation.name == name)


def _powers(first: bool) -> nn.Module:
    """Two quantisers in a row whose scales are powers of two; the first or the second has one for each channel."""
    options: list[dict[str, Any]] = [by_channel(), {}] if first else [{}, by_channel()]
    one, two = (identity(act_quant=Int8ActPerTensorFixedPoint, **more) for more in options)
    net = Net(
        lambda m, x: m.out(m.dw(m.two(m.one(x)))),
        one=one,
        two=two,
        dw=depthwise(),
        out=identity(act_quant=Int8ActPerTensorFixedPoint),
    )
    calibrated(net, WIDE)
    several = [1.0, 2.0, 4.0, 8.0, 1.0, 2.0]
    set_scales(net, "one.act_quant", [size / 4 for size in several] if first else [0.5])
    set_scales(net, "two.act_quant", [4.0] if first else several)
    return net


@pytest.mark.parametrize("first", [False, True], ids=["into channels", "out of channels"])
def test_ties(first: bool) -> None:
    model = seeded(lambda: _powers(first))
    graph = checked(model, WIDE, c=True, calibrate=False)
    case = np.random.Generator(np.random.PCG64(3)).normal(0.0, 1.0, WIDE).astype(np.float32)
    tensors = dict(run_reference(graph, [case]))
    ratio = (scales(model, "one.act_quant") / scales(model, "two.act_quant")).expand(CHANNELS)
    exact = tensors["one"] * ratio.double().numpy().reshape(1, -1, 1, 1)
    tie = np.abs(exact - np.trunc(exact)) == 0.5
    assert tie.any(axis=(0, 2, 3)).sum() > 2
    assert (tensors["two"][tie] % 2 == 0).all()
    # The odd neighbour is as near, and no code that the model means.
    odd = np.where(np.trunc(exact) % 2 == 0, np.trunc(exact) + np.sign(exact), np.trunc(exact))
    wrong = tensors | {"two": np.where(tie, odd, tensors["two"]).astype(np.int8)}
    assert _rejected(model, graph, case, tensors) == set()
    assert "two" in _rejected(model, graph, case, wrong)


def _rejected(model: nn.Module, graph: Graph, case: Any, tensors: dict[str, Any]) -> set[str]:
    judgements = Witness(model, graph).judge([case], tensors)
    return {judgement.tensor for judgement in judgements if not judgement.accepted}


@pytest.mark.parametrize("tensor", ["act", "pool", "dw"])
def test_the_witness_sees_one_wrong_code(tensor: str) -> None:
    """In one channel: of the quantiser, of the move behind it, of the layer that multiplies by its scales."""
    model = seeded(MODELS["max pooling"][0])
    graph = checked(model, WIDE)
    case = np.random.Generator(np.random.PCG64(3)).normal(0.0, 1.0, WIDE).astype(np.float32)
    tensors = dict(run_reference(graph, [case]))
    wrong = tensors[tensor].copy()
    wrong[0, 2, 1, 1] += 2 if wrong[0, 2, 1, 1] < 100 else -2
    assert _rejected(model, graph, case, tensors) == set()
    assert tensor in _rejected(model, graph, case, tensors | {tensor: wrong})


def test_maps_that_become_one_vector() -> None:
    """The scales of channels are repeated then; the witness judges the codes through what is made of them."""
    net = seeded(
        lambda: Net(
            lambda m, x: m.fc(m.one(m.pool(m.act(x)).flatten(1))),
            act=plain_identity(**by_channel()),
            pool=nn.MaxPool2d(3),
            one=identity(),
            fc=linear(CHANNELS * 2, 3),
        )
    )
    graph = extract(calibrated(net, WIDE), [torch.zeros(WIDE)], "net")
    assert kinds(graph) == ["quantize", "max_pool2d", "flatten", "batch_norm", "linear_fp32"]
    assert _layer(graph, "one").rescale.multiplier.size == CHANNELS * 2
    case = np.random.Generator(np.random.PCG64(3)).normal(0.0, 1.0, WIDE).astype(np.float32)
    assert _rejected(net, graph, case, dict(run_reference(graph, [case]))) == set()


def test_scales_that_are_all_the_same_are_one() -> None:
    net = seeded(
        lambda: Net(
            lambda m, x: m.out(m.conv(m.act(x))),
            act=identity(**by_channel()),
            conv=conv(CHANNELS, 3),
            out=identity(),
        )
    )
    calibrated(net, WIDE)
    set_scales(net, "act.act_quant", [2.0] * CHANNELS)
    graph = checked(net, WIDE, c=True, calibrate=False)
    assert graph.tensor("act").scale == 2.0 / 128


def test_a_group_of_one_scale() -> None:
    """A convolution in groups takes a scale for each group."""
    net = seeded(lambda: on_depthwise(dw=conv(CHANNELS, 9, groups=3)))
    calibrated(net, WIDE)
    set_scales(net, "act.act_quant", [1.0, 1.0, 2.0, 2.0, 3.0, 3.0])
    checked(net, WIDE, c=True, calibrate=False)
    set_scales(net, "act.act_quant", [1.0, 1.5, 2.0, 2.0, 3.0, 3.0])
    assert "has 6 scales" in refused(net, WIDE).reason


def _shifted(offsets: list[float]) -> nn.Module:
    net = seeded(
        lambda: on_depthwise(act=identity(act_quant=ShiftedUint8ActPerTensorFloat, **by_channel()))
    )
    calibrated(net, WIDE)
    # Brevitas collects the smallest value and divides it by the scale.
    smallest = -scales(net, "act.act_quant") * torch.tensor(offsets)
    set_collected(tensor_quant(net, "act.act_quant").zero_point_impl, smallest.tolist())
    return net


def test_zero_points() -> None:
    graph = checked(_shifted([100.0] * CHANNELS), WIDE, c=True, calibrate=False)
    assert graph.tensor("act").zero_point == 100
    finding = refused(_shifted([90.0, 100.0, 100.0, 100.0, 100.0, 110.0]), WIDE)
    assert finding.layer == "act"
    assert "has 3 zero points, 90 to 110" in finding.reason


def test_a_channel_that_never_lives() -> None:
    """A threshold next to zero, as of a channel that was zero whenever it was seen."""
    model = seeded(mobile_block)
    calibrated(model, IMAGE)
    norm: Any = model.get_submodule("1.bn")
    with torch.no_grad():
        norm.weight[2], norm.bias[2] = 1e-3, -5.0
    set_scales(model, "1.activation.act_quant", [1.0, 2.0, 2e-16, 1.0, 0.5, 3.0])
    checked(model, IMAGE, c=True, calibrate=False)
