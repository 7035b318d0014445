"""QuantConvTranspose1d and 2d: geometry, groups, weights, biases, and what stands behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import brevitas.quant as bq
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.ops._transposed import TransposedConvolution
from tests.extract.models import (
    IMAGE,
    TOKENS,
    Net,
    calibrated,
    checked,
    identity,
    kinds,
    plain_identity,
    refused,
    relu,
    seeded,
)

ZERO_POINT = {"act_quant": ShiftedUint8ActPerTensorFloat}


def up(inputs: int, outputs: int, kernel: Any, **options: Any) -> qnn.QuantConvTranspose2d:
    return qnn.QuantConvTranspose2d(inputs, outputs, kernel, **{"bias": False, **options})


def up1(inputs: int, outputs: int, kernel: Any, **options: Any) -> qnn.QuantConvTranspose1d:
    return qnn.QuantConvTranspose1d(inputs, outputs, kernel, **{"bias": False, **options})


def _net(make: Callable[[], nn.Module], **source: Any) -> nn.Module:
    return seeded(
        lambda: Net(lambda m, x: m.r(m.u(m.q(x))), q=plain_identity(**source), u=make(), r=relu())
    )


def _layer(graph: Any) -> TransposedConvolution:
    (layer,) = [op for op in graph.operations if isinstance(op, TransposedConvolution)]
    return layer


GEOMETRY: dict[str, Callable[[], nn.Module]] = {
    "1x1": lambda: up(2, 3, 1),
    "2, stride 2": lambda: up(2, 3, 2, stride=2),
    "4, stride 2, padding 1": lambda: up(2, 3, 4, stride=2, padding=1),
    "3, stride 2, output padding": lambda: up(2, 3, 3, stride=2, padding=1, output_padding=1),
    "(3, 2), all pairs": lambda: up(
        *(2, 3, (3, 2)),
        stride=(2, 3),
        padding=(1, 0),
        output_padding=(0, 2),
        dilation=(1, 2),
    ),
    "groups": lambda: up(2, 6, 3, stride=2, groups=2),
    "depthwise": lambda: up(2, 2, 4, stride=2, padding=1, groups=2),
}


@pytest.mark.parametrize("case", GEOMETRY)
def test_geometry(case: str) -> None:
    graph = checked(_net(GEOMETRY[case], **ZERO_POINT), IMAGE, c=case == "(3, 2), all pairs")
    assert kinds(graph) == ["quantize", "conv_transpose2d"]


SEQUENCES: dict[str, Callable[[], nn.Module]] = {
    "4, stride 2, padding 1": lambda: up1(4, 3, 4, stride=2, padding=1),
    "groups, output padding, dilated": lambda: up1(
        4, 6, 3, stride=3, padding=2, output_padding=1, dilation=2, groups=2
    ),
}


@pytest.mark.parametrize("case", SEQUENCES)
def test_sequences(case: str) -> None:
    graph = checked(_net(SEQUENCES[case], **ZERO_POINT), TOKENS, c=True)
    assert kinds(graph) == ["quantize", "conv_transpose1d"]


# Output size of 3x3, stride 2, padding 1 -> output padding.
SIZES: dict[tuple[int, int], tuple[int, int]] = {(11, 9): (0, 0), (12, 9): (1, 0), (11, 10): (0, 1)}


@pytest.mark.parametrize("size", SIZES)
def test_the_size_that_forward_asks_for(size: tuple[int, int]) -> None:
    """`output_size` chooses among those that the stride allows."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.u(m.q(x), output_size=size)),
            q=identity(),
            u=up(2, 3, 3, stride=2, padding=1),
            r=relu(),
        )
    )
    graph = checked(model, IMAGE)
    assert graph.tensor(graph.outputs[0]).shape[2:] == size
    assert _layer(graph).output_padding == SIZES[size]


WEIGHTS: dict[str, dict[str, Any]] = {
    "per channel": {"weight_quant": bq.Int8WeightPerChannelFloat},
    "4 bits, float bias": {"weight_bit_width": 4, "bias": True},
    "powers of two": {"weight_quant": bq.Int8WeightPerTensorFixedPoint, "bias": True},
    "per channel, integer bias": {
        "weight_quant": bq.Int8WeightPerChannelFloat,
        "bias_quant": bq.Int32Bias,
        "bias": True,
    },
    "ternary": {"weight_quant": bq.SignedTernaryWeightPerTensorConst},
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights(case: str) -> None:
    """The channels of the output are the second dimension of the weight."""
    options = WEIGHTS[case]
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.u(m.q(x))),
            q=identity(),
            u=up(2, 3, (2, 3), stride=2, padding=1, **options),
            r=relu(),
        )
    )
    with torch.no_grad():
        model.u.weight *= torch.tensor([1.0, 0.25, 3.0]).reshape(1, 3, 1, 1)
    layer = _layer(checked(model, IMAGE, c="integer" in case))
    assert layer.weight.shape == (2, 3, 2, 3)
    assert len(set(layer.rescale.multiplier.tolist())) == (3 if "per channel" in case else 1)


def test_a_scale_for_each_place_in_the_groups() -> None:
    """Brevitas' own shape of the scales does not fit groups; the one that does is [1, out / groups, 1, 1]."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.u(m.q(x))),
            q=identity(),
            u=up(
                *(2, 6, 3),
                groups=2,
                weight_quant=bq.Int8WeightPerChannelFloat,
                weight_scaling_shape=(1, 3, 1, 1),
                weight_scaling_stats_output_shape=(1, 3, 1, 1),
                weight_per_channel_broadcastable_shape=(1, 3, 1, 1),
            ),
            r=relu(),
        )
    )
    with torch.no_grad():
        model.u.weight *= torch.tensor([1.0, 0.25, 3.0]).reshape(1, 3, 1, 1)
    multiplier = _layer(checked(model, IMAGE, c=True)).rescale.multiplier
    assert np.array_equal(multiplier[:3], multiplier[3:])
    assert len(set(multiplier.tolist())) == 3


BEHIND: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "BatchNorm, GELU": (lambda m, y: m.last(F.gelu(m.norm(y))), []),
    "BatchNorm, PReLU": (lambda m, y: m.last(m.prelu(m.norm(y))), []),
    "maximum": (lambda m, y: m.last(F.max_pool2d(y, 2)), ["max_pool2d"]),
    "cropped": (lambda m, y: m.last(y[:, :, :-1, 1:]), ["slice", "slice"]),
    "upsampled": (lambda m, y: m.last(F.interpolate(y, scale_factor=2)), ["upsample_nearest2d"]),
}


@pytest.mark.parametrize("case", BEHIND)
def test_what_stands_before_the_quantizer(case: str) -> None:
    behind, expected = BEHIND[case]
    model = seeded(
        lambda: Net(
            lambda m, x: behind(m, m.u(m.q(x))),
            q=identity(),
            u=up(2, 3, 4, stride=2, padding=1, bias=True),
            norm=nn.BatchNorm2d(3),
            prelu=nn.PReLU(3),
            last=identity(),
        )
    )
    assert kinds(checked(model, IMAGE)) == ["quantize", "conv_transpose2d", *expected]


def test_quantizers_of_its_own() -> None:
    layer = lambda: up(  # noqa: E731 - as in a table
        *(2, 3, 2),
        stride=2,
        input_quant=bq.Int8ActPerTensorFloat,
        output_quant=bq.Int8ActPerTensorFloat,
        return_quant_tensor=True,
    )
    model = seeded(
        lambda: Net(
            lambda m, x: m.u(m.u2(x)),
            u2=layer(),
            u=up(3, 2, 3, output_quant=bq.Int8ActPerTensorFloat),
        )
    )
    assert kinds(checked(model, IMAGE)) == ["quantize", "conv_transpose2d", "conv_transpose2d"]


def test_an_input_with_a_scale_for_each_channel() -> None:
    """A depthwise layer reads one channel an output, which may have its own scale."""
    per_channel = {
        "scaling_per_output_channel": True,
        "per_channel_broadcastable_shape": (1, 2, 1, 1),
        "scaling_stats_permute_dims": (1, 0, 2, 3),
    }
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.u(m.q(x * m.factors))),
            q=identity(**per_channel),
            u=up(2, 4, 3, stride=2, groups=2),
            r=relu(),
        )
    )
    model.register_buffer("factors", torch.tensor([1.0, 7.0]).reshape(1, 2, 1, 1))
    assert kinds(checked(model, IMAGE))[-1] == "conv_transpose2d"


# What stands between the layer and the network's output -> operations.
REAL: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "nothing": (lambda m, y: y, []),
    "BatchNorm": (lambda m, y: m.norm(y), []),
    "arithmetic": (lambda m, y: (y * 2 - 1) / 3, []),
    "upsampled": (lambda m, y: F.interpolate(y, scale_factor=3), ["upsample_nearest2d"]),
    "mirrored edges": (lambda m, y: F.pad(y, (1, 2, 0, 1), "reflect"), ["pad2d"]),
    "cropped": (lambda m, y: y[..., 1:-1], ["slice"]),
    "sub-pixels": (lambda m, y: F.pixel_shuffle(y, 2), ["reshape", "permute", "reshape"]),
}


@pytest.mark.parametrize("case", REAL)
def test_real_outputs(case: str) -> None:
    """No quantiser before the network's output: binary32."""
    behind, expected = REAL[case]
    model = seeded(
        lambda: Net(
            lambda m, x: behind(m, m.u(m.q(x))),
            q=identity(**ZERO_POINT),
            u=up(2, 4, 4, stride=2, padding=1, bias=True),
            norm=nn.BatchNorm2d(4),
        )
    )
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph) == ["quantize", "conv_transpose_fp32", *expected]


def test_a_real_sequence_and_integer_biases() -> None:
    model = seeded(
        lambda: Net(
            lambda m, x: m.u(m.q(x)),
            q=identity(),
            u=up1(
                *(4, 6, 5),
                stride=3,
                groups=2,
                bias=True,
                bias_quant=bq.Int32Bias,
            ),
        )
    )
    graph = checked(model, TOKENS, c=True)
    assert kinds(graph) == ["quantize", "conv_transpose_fp32"]


REFUSED: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "float": (
        lambda: nn.ConvTranspose2d(2, 3, 2),
        "ConvTranspose2d cannot be mapped",
        "brevitas.nn.QuantConvTranspose2d",
    ),
    "weights that are not quantised": (
        lambda: up(2, 3, 2, weight_quant=None),
        "its weights are not quantised",
        "weight_quant",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    make, reason, suggestion = REFUSED[case]
    model = Net(lambda m, x: m.r(m.u(m.q(x))), q=plain_identity(), u=make(), r=relu())
    finding = refused(calibrated(model, IMAGE), IMAGE)
    assert reason in finding.reason
    assert suggestion in finding.suggestion


def test_weights_of_an_image_given_a_sequence() -> None:
    """PyTorch takes [channels, height, width] without a batch; rank 3 is no batch of images."""
    model = Net(lambda m, x: m.r(m.u(m.q(x))), q=plain_identity(), u=up1(1, 3, 2), r=relu())
    finding = refused(calibrated(model, (1, 6)), (1, 6))
    assert "its input has shape [1, 6]" in finding.reason
