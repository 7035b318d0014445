"""Upsampling: every spelling, on codes and between a layer and its quantiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant import Int8ActPerTensorFixedPoint
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

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
Operation = Callable[[Any], Any]

# Function, what it is applied to, shape of the result.
NEAREST: dict[str, tuple[Operation, Shape, Shape]] = {
    "Upsample": (nn.Upsample(scale_factor=2), IMAGE, (1, 2, 12, 10)),
    "Upsample, a factor an axis": (nn.Upsample(scale_factor=(1, 3)), IMAGE, (1, 2, 6, 15)),
    "Upsample, size": (nn.Upsample((18, 5)), IMAGE, (1, 2, 18, 5)),
    "Upsample, no whole factor": (nn.Upsample(scale_factor=1.7), IMAGE, (1, 2, 10, 8)),
    "Upsample, recomputed": (
        nn.Upsample(scale_factor=1.7, recompute_scale_factor=True),
        IMAGE,
        (1, 2, 10, 8),
    ),
    "Upsample of a sequence": (nn.Upsample(scale_factor=4), TOKENS, (1, 4, 24)),
    "nearest-exact": (nn.Upsample(size=(7, 8), mode="nearest-exact"), IMAGE, (1, 2, 7, 8)),
    "UpsamplingNearest2d": (nn.UpsamplingNearest2d(scale_factor=2), IMAGE, (1, 2, 12, 10)),
    "QuantUpsample": (qnn.QuantUpsample(scale_factor=3), IMAGE, (1, 2, 18, 15)),
    "QuantUpsample, nearest-exact": (
        qnn.QuantUpsample(size=(8, 7), mode="nearest-exact"),
        IMAGE,
        (1, 2, 8, 7),
    ),
    "QuantUpsamplingNearest2d": (qnn.QuantUpsamplingNearest2d(size=(6, 10)), IMAGE, (1, 2, 6, 10)),
    "F.interpolate": (lambda y: F.interpolate(y, scale_factor=2), IMAGE, (1, 2, 12, 10)),
    "F.interpolate, size": (
        lambda y: F.interpolate(y, (6, 11), mode="nearest"),
        IMAGE,
        (1, 2, 6, 11),
    ),
    "F.interpolate, of its shape": (
        lambda y: F.interpolate(y, size=[2 * n for n in y.shape[2:]]),
        IMAGE,
        (1, 2, 12, 10),
    ),
    "smaller": (lambda y: F.interpolate(y, scale_factor=0.5), IMAGE, (1, 2, 3, 2)),
}


def layers(operation: Operation) -> dict[str, nn.Module]:
    return {"up": operation} if isinstance(operation, nn.Module) else {}


def resize(model: Any, operation: Operation) -> Operation:
    """The function, or the copied model's own module."""
    return getattr(model, "up", operation)


@pytest.mark.parametrize("case", NEAREST)
def test_nearest_of_codes(case: str) -> None:
    up, shape, after = NEAREST[case]
    model = Net(lambda m, x: resize(m, up)(m.q(x)), q=identity(**ZERO_POINT), **layers(up))
    graph = checked(model, shape, c=case in ("Upsample", "Upsample, no whole factor"))
    assert kinds(graph) == ["quantize", "upsample_nearest2d"]
    assert graph.tensor(graph.outputs[0]).shape == after


@pytest.mark.parametrize("case", [case for case in NEAREST if "Quant" not in case])
def test_nearest_before_the_quantizer(case: str) -> None:
    """Of the input, and between a convolution and its BatchNorm, activation and quantiser."""
    up, shape, _ = NEAREST[case]
    if len(shape) == 4:
        model = seeded(
            lambda: Net(
                lambda m, x: m.r(m.n(resize(m, up)(m.c(m.q(x))))),
                q=plain_identity(),
                c=conv(2, 3, padding=1),
                n=nn.BatchNorm2d(3),
                r=relu(),
                **layers(up),
            )
        )
        assert kinds(checked(model, shape)) == ["quantize", "conv2d", "upsample_nearest2d"]
    model = Net(lambda m, x: m.q(resize(m, up)(x)), q=identity(), **layers(up))
    assert kinds(checked(model, shape)) == ["quantize", "upsample_nearest2d"]


@pytest.mark.parametrize("old", ["upsample", "upsample_nearest"])
@pytest.mark.filterwarnings("ignore:`nn.functional.upsample")
def test_spellings_that_are_going_away(old: str) -> None:
    function = getattr(F, old)
    model = Net(lambda m, x: function(m.q(x), scale_factor=2), q=identity())
    assert kinds(checked(model, IMAGE)) == ["quantize", "upsample_nearest2d"]


def test_a_scale_for_each_channel_stays() -> None:
    """Pixels are repeated and mirrored within their channel: a depthwise layer behind takes the codes."""
    per_channel = {
        "scaling_per_output_channel": True,
        "per_channel_broadcastable_shape": (1, 2, 1, 1),
        "scaling_stats_permute_dims": (1, 0, 2, 3),
    }
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.c(F.pad(m.up(m.q(x * m.factors)), (1, 1, 1, 1), "reflect"))),
            q=identity(**per_channel),
            up=nn.Upsample(scale_factor=2),
            c=conv(2, 2, groups=2),
            r=relu(),
        )
    )
    model.register_buffer("factors", torch.tensor([1.0, 7.0]).reshape(1, 2, 1, 1))
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph)[-3:] == ["upsample_nearest2d", "pad2d", "conv2d"]


def test_nothing_to_resize() -> None:
    model = Net(lambda m, x: F.interpolate(m.q(x), size=x.shape[2:]), q=identity())
    assert kinds(checked(model, IMAGE)) == ["quantize"]


REFUSED: dict[str, tuple[Operation, str, str]] = {
    "area": (lambda y: F.interpolate(y, (3, 5), mode="area"), "'area'", "adaptive_avg_pool2d"),
    "bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), "'bicubic'", "mode='nearest'"),
    "no simple fraction": (
        nn.Upsample(scale_factor=2.1, mode="bilinear"),
        "its scale_factor 2.1 is no simple fraction",
        "use size=, or recompute_scale_factor=True",
    ),
    "sums that could overflow": (
        nn.Upsample(size=(2051, 2052), mode="bilinear"),
        "steps of 1/4102 by 1/4104, whose sums could reach",
        "use a whole scale_factor",
    ),
    "QuantUpsamplingBilinear2d": (
        qnn.QuantUpsamplingBilinear2d(scale_factor=2),
        "a tie may fall either way",
        "a QuantIdentity behind it",
    ),
    "QuantUpsample": (
        qnn.QuantUpsample(scale_factor=2, mode="bilinear"),
        "a tie may fall either way",
        "a QuantIdentity behind it",
    ),
    "antialias": (
        lambda y: F.interpolate(y, scale_factor=2, mode="bilinear", antialias=True),
        "antialias",
        "antialias=False",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_upsampling_that_is_refused(case: str) -> None:
    up, reason, suggestion = REFUSED[case]
    model = Net(
        lambda m, x: m.q2(resize(m, up)(m.q(x))),
        q=identity() if "Quant" in case else plain_identity(),
        q2=identity(),
        **layers(up),
    )
    finding = refused(calibrated(model, IMAGE), IMAGE)
    assert reason in finding.reason
    assert suggestion in finding.suggestion


# Function, what it is applied to, divisors of rows and columns.
BILINEAR: dict[str, tuple[Operation, Shape, tuple[int, int]]] = {
    "Upsample": (nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE, (4, 4)),
    "3 by 5": (nn.Upsample(scale_factor=(3, 5), mode="bilinear"), IMAGE, (3, 5)),
    "size": (nn.Upsample((24, 5), mode="bilinear", align_corners=False), IMAGE, (8, 1)),
    "7 and 6": (
        lambda y: F.interpolate(y, scale_factor=(7.0, 6.0), mode="bilinear"),
        IMAGE,
        (7, 12),
    ),
    "one and a half": (nn.Upsample(scale_factor=1.5, mode="bilinear"), IMAGE, (6, 6)),
    "half": (nn.Upsample(scale_factor=0.5, mode="bilinear"), IMAGE, (2, 2)),
    "to the size of another": (
        lambda y: F.interpolate(y, size=(7, 11), mode="bilinear", align_corners=False),
        IMAGE,
        (14, 11),
    ),
    "recomputed": (
        lambda y: F.interpolate(y, scale_factor=2.1, mode="bilinear", recompute_scale_factor=True),
        IMAGE,
        (4, 4),
    ),
    "corners": (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), IMAGE, (11, 9)),
    "UpsamplingBilinear2d": (nn.UpsamplingBilinear2d(size=(9, 9)), IMAGE, (8, 2)),
    "one row": (
        lambda y: F.interpolate(y, size=(1, 10), mode="bilinear", align_corners=True),
        IMAGE,
        (1, 9),
    ),
    "linear": (nn.Upsample(scale_factor=3, mode="linear"), TOKENS, (1, 3)),
    "linear, corners": (nn.Upsample(11, mode="linear", align_corners=True), TOKENS, (1, 2)),
}


@pytest.mark.parametrize("options", [{}, ZERO_POINT], ids=["s8", "zero point"])
@pytest.mark.parametrize("case", BILINEAR)
def test_bilinear(case: str, options: dict[str, Any]) -> None:
    """A real value: BatchNorm, a function and the quantiser join it."""
    up, shape, divisors = BILINEAR[case]
    norm = (nn.BatchNorm1d if len(shape) == 3 else nn.BatchNorm2d)(shape[1])
    model = Net(
        lambda m, x: (lambda y: (m.q2(y), m.q3(F.gelu(m.n(y)))))(resize(m, up)(m.q(x))),
        q=plain_identity(**options),
        q2=identity(**options),
        q3=identity(),
        n=norm,
        **layers(up),
    )
    graph = checked(model, shape, c=bool(options))
    assert kinds(graph) == ["quantize", "upsample_bilinear2d", "upsample_bilinear2d"]
    assert [op.divisors for op in graph.operations[1:]] == [divisors] * 2


# What stands between the interpolation and the network's output -> operations.
REAL: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "nothing": (lambda m, y: y, []),
    "BatchNorm": (lambda m, y: m.n(y), []),
    "arithmetic": (lambda m, y: y * 2 - 1, []),
    "cropped": (lambda m, y: y[:, :, 1:, :-1], ["slice", "slice"]),
}


@pytest.mark.parametrize("case", REAL)
def test_bilinear_real_outputs(case: str) -> None:
    """Maps in the size of the picture, as networks for segmentation end: binary32."""
    behind, expected = REAL[case]
    model = seeded(
        lambda: Net(
            lambda m, x: behind(m, F.interpolate(m.q2(m.c(m.q(x))), (13, 10), mode="bilinear")),
            q=identity(),
            c=conv(2, 3, 1),
            q2=plain_identity(**ZERO_POINT),
            n=nn.BatchNorm2d(3),
        )
    )
    graph = checked(model, IMAGE, c=True)
    assert kinds(graph) == ["quantize", "conv2d", "upsample_bilinear_fp32", *expected]


def test_bilinear_of_a_quant_tensor() -> None:
    model = Net(
        lambda m, x: m.q2(m.up(m.q(x))),
        q=identity(),
        q2=identity(),
        up=nn.Upsample(scale_factor=2, mode="bilinear"),
    )
    assert kinds(checked(model, IMAGE)) == ["quantize", "upsample_bilinear2d"]


def test_ties_of_bilinear_pixels() -> None:
    """Powers of two: every fourth sum is a tie, which binary64 gets right."""
    fixed = {"act_quant": Int8ActPerTensorFixedPoint}
    model = Net(
        lambda m, x: m.q2(m.up(m.q(x))),
        q=identity(**fixed),
        q2=identity(**fixed),
        up=nn.Upsample(scale_factor=2, mode="bilinear"),
    )
    assert kinds(checked(model, (1, 3, 9, 8))) == ["quantize", "upsample_bilinear2d"]
