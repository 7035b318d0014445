"""QuantConv1d: geometry, causal convolutions, weights, biases, and what stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import pytest
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.ops.conv1d import Conv1d
from tests.extract.behind import norm, trained
from tests.extract.channel_scales import by_channel
from tests.extract.models import (
    Net,
    Shape,
    calibrated,
    checked,
    identity,
    kinds,
    plain_identity,
    refused,
    relu,
    seeded,
)
from tests.slow import one_in

SIGNAL: Shape = (1, 4, 11)
ZERO_POINT = {"act_quant": ShiftedUint8ActPerTensorFloat}


def conv1d(inputs: int, outputs: int, kernel: int = 3, **options: Any) -> qnn.QuantConv1d:
    """A QuantConv1d, without bias unless asked."""
    return qnn.QuantConv1d(inputs, outputs, kernel, **{"bias": False, **options})


def _net(source: dict[str, Any], *arguments: Any, **options: Any) -> nn.Module:
    def make() -> nn.Module:
        layer = conv1d(4, *arguments, **options)
        return Net(lambda m, x: m.r(m.c(m.q(x))), q=plain_identity(**source), c=layer, r=relu())

    return seeded(make)


# What a layer is built with -> (before, after) of the Graph.
GEOMETRY: dict[str, tuple[tuple[Any, ...], dict[str, Any], tuple[int, int]]] = {
    "kernel 1": ((3, 1), {}, (0, 0)),
    "kernel 5, padding 2, stride 2": ((3, 5), {"padding": 2, "stride": 2}, (2, 2)),
    "numbers in tuples": ((3, (4,)), {"padding": (3,), "stride": (2,), "dilation": (2,)}, (3, 3)),
    "as long as the input": ((3, 11), {}, (0, 0)),
    "valid": ((3, 4), {"padding": "valid"}, (0, 0)),
    "same": ((3, 3), {"padding": "same"}, (1, 1)),
    "same, even kernel": ((3, 4), {"padding": "same"}, (1, 2)),
    "same, dilated": ((3, 2), {"padding": "same", "dilation": 3}, (1, 2)),
    "same, stride 3": ((3, 4), {"padding": "same", "stride": 3}, (1, 1)),
    "dilation 4": ((3, 3), {"dilation": 4, "padding": 8}, (8, 8)),
    "groups": ((6, 3), {"groups": 2}, (0, 0)),
    "depthwise": ((4, 3), {"groups": 4, "padding": 1}, (1, 1)),
    "depthwise, three outputs a channel": ((12, 2), {"groups": 4}, (0, 0)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("source", [{}, ZERO_POINT], ids=["s8", "zero point"])
@pytest.mark.parametrize("case", one_in(3, GEOMETRY))
def test_geometry(case: str, source: dict[str, Any]) -> None:
    arguments, options, padding = GEOMETRY[case]
    graph = checked(_net(source, *arguments, **options), SIGNAL, c=case == "same, stride 3")
    assert kinds(graph) == ["quantize", "conv1d"]
    layer = graph.operations[1]
    assert isinstance(layer, Conv1d)
    assert layer.padding == padding


OPTIONS: dict[str, dict[str, Any]] = {
    "a weight scale a channel": {"weight_quant": bq.Int8WeightPerChannelFloat, "bias": True},
    "4 bits, Int32Bias": {"weight_bit_width": 4, "bias": True, "bias_quant": bq.Int32Bias},
    "its own quantisers": {
        "input_quant": bq.Int8ActPerTensorFloat,
        "output_quant": bq.Int8ActPerTensorFloat,
    },
    "QuantTensor": {"return_quant_tensor": True},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_of_the_layer(case: str) -> None:
    def make() -> nn.Module:
        layer = conv1d(4, 5, padding=1, **OPTIONS[case])
        return Net(lambda m, x: m.r(m.c(m.q(x))), q=identity(), c=layer, r=relu())

    graph = checked(seeded(make), SIGNAL, c=case.startswith("4 bits"))
    assert kinds(graph).count("conv1d") == 1


def _causal(forward: Callable[..., Any], padding: int, **layers: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        layer = conv1d(4, 6, dilation=2, padding=padding, bias=True)
        own = {name: build() for name, build in layers.items()}
        return Net(forward, q=plain_identity(), c=layer, n=norm(6, 1), r=relu(), **own)

    return make


# A causal convolution in every spelling -> the operations of the Graph.
CAUSAL: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "padded on the left": (
        _causal(lambda m, x: m.r(m.n(m.c(F.pad(m.q(x), (4, 0))))), 0),
        ["zero_pad2d", "conv1d"],
    ),
    "ConstantPad1d": (
        _causal(lambda m, x: m.r(m.c(m.p(m.q(x)))), 0, p=lambda: nn.ConstantPad1d((4, 0), 0.0)),
        ["zero_pad2d", "conv1d"],
    ),
    "the right cut off before the quantiser": (
        _causal(lambda m, x: m.r(m.n(m.c(m.q(x))[..., :-4])), 4),
        ["conv1d", "slice"],
    ),
    "the right cut off before BatchNorm": (
        _causal(lambda m, x: m.r(m.n(m.c(m.q(x))[:, :, : x.shape[2]])), 4),
        ["conv1d", "slice"],
    ),
    "the right cut off behind the quantiser": (
        _causal(lambda m, x: m.r2(m.p(m.c(m.q(x)))[:, :, :-4]), 4, p=qnn.QuantReLU, r2=identity),
        ["conv1d", "slice", "requantize"],
    ),
}


@pytest.mark.parametrize("case", one_in(2, CAUSAL))
def test_causal(case: str) -> None:
    make, expected = CAUSAL[case]
    graph = checked(trained(make, SIGNAL), SIGNAL, c=True, calibrate=False)
    assert kinds(graph) == ["quantize", *expected]
    assert graph.tensor(graph.outputs[0]).shape == (1, 6, 11)


def test_a_scale_for_each_channel_before_a_depthwise_layer() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.c(m.q(x))),
            q=identity(**by_channel(4, 3)),
            c=conv1d(4, 4, groups=4, padding=1, bias=True),
            r=relu(),
        )
    )
    graph = checked(model, SIGNAL, c=True)
    assert kinds(graph) == ["quantize", "conv1d"]
    assert graph.tensors[1].scale == 1.0


@pytest.mark.parametrize("source", [{}, ZERO_POINT], ids=["s8", "zero point"])
@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_with_its_own_codes(mode: str, source: dict[str, Any]) -> None:
    model = _net(source, 3, 5, padding=2, padding_mode=mode, stride=2)
    graph = checked(model, SIGNAL, c=True)
    assert kinds(graph) == ["quantize", "pad2d", "conv1d"]
    assert [operation.name for operation in graph.operations] == ["q", "c.padded", "c"]


def test_without_a_batch_it_is_refused() -> None:
    """PyTorch takes [C, T] for one signal; here the first axis is the batch."""
    model = seeded(
        lambda: Net(lambda m, x: m.r(m.c(m.q(x))), q=plain_identity(), c=conv1d(1, 3), r=relu())
    )
    finding = refused(calibrated(model, (1, 11)), (1, 11))
    assert finding.layer == "c"
    assert "rank 2, expected rank 3" in finding.reason
    assert "batch" in finding.suggestion
