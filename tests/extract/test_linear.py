"""QuantLinear: any rank, every bias, codes behind a quantiser and binary32 logits at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import numpy as np
import pytest
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.ir import DType
from ares.ops.linear import Linear
from ares.ops.linear_fp32 import LinearFp32
from tests.extract.models import (
    Net,
    Shape,
    checked,
    identity,
    kinds,
    linear,
    plain_identity,
    relu,
    seeded,
)
from tests.slow import one_in

RANKS: dict[str, Shape] = {"2-D": (1, 6), "3-D, by token": (1, 4, 6), "4-D": (1, 2, 3, 6)}

LAYERS: dict[str, dict[str, Any]] = {
    "no bias": {"bias": False},
    "float bias": {},
    "Int32Bias": {"bias_quant": bq.Int32Bias},
    "Int32Bias, per channel": {
        "bias_quant": bq.Int32Bias,
        "weight_quant": bq.Int8WeightPerChannelFloat,
    },
    "per channel, 4 bits, QuantTensor": {
        "weight_quant": bq.Int8WeightPerChannelFloat,
        "weight_bit_width": 4,
        "return_quant_tensor": True,
    },
    "bias with a scale of its own": {"bias_quant": bq.Int8BiasPerTensorFloatInternalScaling},
}


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("case", one_in(3, LAYERS))
def test_codes_and_logits(case: str, rank: str) -> None:
    """One layer, whose result is quantised and leaves the network as it is."""

    def forward(m: Any, x: Any) -> Any:
        y = m.fc(m.q(x))
        return m.q2(y), y

    model = seeded(
        lambda: Net(forward, q=identity(), fc=linear(6, 5, **LAYERS[case]), q2=identity())
    )
    graph = checked(model, RANKS[rank], c=rank != "2-D" and "QuantTensor" in case)
    assert kinds(graph) == ["quantize", "linear", "linear_fp32"]
    assert [operation.name for operation in graph.operations] == ["q", "fc", "fc#1"]
    assert graph.tensor(graph.outputs[1]).dtype is DType.F32


@pytest.mark.parametrize("rank", RANKS)
def test_logits_of_codes_with_a_zero_point(rank: str) -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.fc(m.q(x)),
            q=identity(act_quant=ShiftedUint8ActPerTensorFloat),
            fc=linear(6, 5, weight_quant=bq.Int8WeightPerChannelFloat),
        )
    )
    graph = checked(model, RANKS[rank], c=rank == "2-D")
    assert graph.tensor("q").zero_point > 0
    logits = graph.operations[1]
    assert isinstance(logits, LinearFp32)
    assert logits.scale.dtype == logits.bias.dtype == np.float32


OWN: dict[str, dict[str, Any]] = {
    "input": {"input_quant": bq.Int8ActPerTensorFloat},
    "output": {"output_quant": bq.Int8ActPerTensorFloat},
    "output, unsigned": {"output_quant": bq.Uint8ActPerTensorFloat, "return_quant_tensor": True},
}


@pytest.mark.parametrize("case", OWN)
def test_quantizers_of_the_layer(case: str) -> None:
    model = seeded(
        lambda: Net(lambda m, x: m.fc(m.q(x)), q=identity(), fc=linear(6, 5, **OWN[case]))
    )
    expected = {
        "input": ["quantize", "requantize", "linear_fp32"],
        "output": ["quantize", "linear"],
        "output, unsigned": ["quantize", "linear"],
    }
    assert kinds(checked(model, (1, 4, 6))) == expected[case]


# What stands behind the layer -> operations of the Graph after it.
MOVED_LOGITS: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "flatten": (lambda y: y.flatten(1), ["flatten"]),
    "permute": (lambda y: y.permute(0, 3, 1, 2), ["permute"]),
    "unsqueeze, mT": (lambda y: y.unsqueeze(1).mT, ["squeeze", "permute"]),
    "view": (lambda y: y.view(y.size(0), 3, -1), ["reshape"]),
}


@pytest.mark.parametrize("case", MOVED_LOGITS)
def test_logits_may_move(case: str) -> None:
    move, expected = MOVED_LOGITS[case]
    model = seeded(lambda: Net(lambda m, x: move(m.fc(m.q(x))), q=identity(), fc=linear(6, 5)))
    graph = checked(model, RANKS["4-D"], c=True)
    assert kinds(graph) == ["quantize", "linear_fp32", *expected]


ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "gelu": F.gelu,
    "gelu, tanh": lambda y: F.gelu(y, approximate="tanh"),
    "gelu, relu": lambda y: F.relu(F.gelu(y)),
    "relu": F.relu,
    "mT, gelu": lambda y: F.gelu(y.mT),
}


@pytest.mark.parametrize(
    "options", [{}, {"act_quant": ShiftedUint8ActPerTensorFloat}], ids=["s8", "zero point"]
)
@pytest.mark.parametrize("case", ACTIVATIONS)
def test_activations_join_the_layer(case: str, options: dict[str, Any]) -> None:
    function = ACTIVATIONS[case]
    model = seeded(
        lambda: Net(
            lambda m, x: m.fc2(m.q2(function(m.fc(m.q(x)))).flatten(1)),
            q=plain_identity(**options),
            fc=linear(6, 5, weight_quant=bq.Int8WeightPerChannelFloat),
            q2=plain_identity(**options),
            fc2=linear(20, 3),
        )
    )
    graph = checked(model, (1, 4, 6), c=bool(options))
    layer = graph.operations[1]
    assert isinstance(layer, Linear)
    assert bool(layer.rescale.thresholds.size) == ("gelu" in case)


def test_layers_in_a_row() -> None:
    def make() -> nn.Module:
        return nn.Sequential(
            identity(),
            linear(6, 8, bias_quant=bq.Int32Bias),
            relu(bit_width=4),
            linear(8, 8, weight_bit_width=2, bias=False),
            nn.GELU(),
            identity(bit_width=6),
            linear(8, 3),
        )

    graph = checked(seeded(make), (1, 6), c=True)
    assert [operation.name for operation in graph.operations] == ["0", "1", "3", "6"]
    assert kinds(graph) == ["quantize", "linear", "linear", "linear_fp32"]
