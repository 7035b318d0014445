"""Convolutions that no quantiser follows before the network's outputs: binary32 results, several of them, moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.quant as bq
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from brevitas.quant.shifted_scaled_int import ShiftedUint8ActPerTensorFloat
from torch import nn

from ares.ir import DType
from ares.ops import run_reference
from ares.witness import Witness
from tests.extract.behind import norm, trained
from tests.extract.channel_scales import WIDE, by_channel
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

HEADS: dict[str, tuple[Callable[[], nn.Module], Shape, list[str]]] = {
    "with a bias": (
        lambda: Net(lambda m, x: m.c(m.q(x)), q=plain_identity(), c=conv(2, 3, bias=True)),
        IMAGE,
        ["conv_fp32"],
    ),
    "QuantTensor, an integer bias, a weight scale a channel": (
        lambda: Net(
            lambda m, x: m.c(m.q(x)),
            q=identity(),
            c=conv(
                *(2, 3),
                stride=2,
                padding=1,
                bias=True,
                bias_quant=bq.Int32Bias,
                weight_quant=bq.Int8WeightPerChannelFloat,
            ),
        ),
        IMAGE,
        ["conv_fp32"],
    ),
    "BatchNorm and arithmetic": (
        lambda: Net(
            lambda m, x: m.n(m.c(m.q(x))) * 0.5 - 1,
            q=plain_identity(),
            c=conv(2, 6, groups=2),
            n=norm(6),
        ),
        IMAGE,
        ["conv_fp32"],
    ),
    "flat": (
        lambda: Net(
            lambda m, x: m.c(m.q(x)).flatten(2).transpose(1, 2), q=plain_identity(), c=conv(2, 6)
        ),
        IMAGE,
        ["conv_fp32", "flatten", "permute"],
    ),
    "boxes of anchors": (
        lambda: Net(
            lambda m, x: m.c(m.q(x)).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4),
            q=plain_identity(),
            c=conv(2, 8, 1, bias=True),
        ),
        IMAGE,
        ["conv_fp32", "permute", "reshape"],
    ),
    "three heads, one of them quantised": (
        lambda: Net(
            lambda m, x: (lambda y: (m.a(y), m.b(y), m.s(m.d(y))))(m.r(m.c(m.q(x)))),
            q=plain_identity(),
            c=conv(2, 4),
            r=relu(),
            a=conv(4, 3, 1, bias=True),
            b=conv(4, 4, 1),
            d=conv(4, 1),
            s=identity(),
        ),
        IMAGE,
        ["conv2d", "conv2d", "conv_fp32", "conv_fp32"],
    ),
    "heads of two scales, side by side": (
        lambda: Net(
            lambda m, x: torch.cat([m.a(m.q(x)).flatten(2), (2 * m.b(m.q(x))).flatten(2)], 2),
            q=plain_identity(),
            a=conv(2, 3, 1, bias=True),
            b=conv(2, 3, stride=2),
        ),
        IMAGE,
        ["quantize", "conv_fp32", "flatten", "conv_fp32", "flatten", "concat"],
    ),
    "boxes and scores, channel by channel": (
        lambda: Net(
            lambda m, x: torch.cat([m.a(m.q(x)), m.b(m.q(x))], 1),
            q=identity(),
            a=conv(2, 4, 1, bias=True),
            b=conv(2, 3, 1),
        ),
        IMAGE,
        ["quantize", "conv_fp32", "conv_fp32", "concat"],
    ),
    "of a signal, cut": (
        lambda: Net(
            lambda m, x: m.c(m.q(x))[:, :, 1:-1], q=plain_identity(), c=conv1d(4, 3, bias=True)
        ),
        SIGNAL,
        ["conv_fp32", "slice"],
    ),
    "a signal's, one value": (
        lambda: Net(
            lambda m, x: m.c(m.q(x)).squeeze(-1), q=plain_identity(), c=conv1d(4, 3, 11, bias=True)
        ),
        SIGNAL,
        ["conv_fp32", "squeeze"],
    ),
}


@pytest.mark.parametrize("case", one_in(2, HEADS))
def test_heads(case: str) -> None:
    make, shape, expected = HEADS[case]
    graph = checked(trained(make, shape), shape, c=True, calibrate=False)
    assert sorted(set(kinds(graph))) == sorted({"quantize", *expected})
    assert DType.F32 in {graph.tensor(name).dtype for name in graph.outputs}


def test_a_result_that_is_an_output_and_goes_on() -> None:
    """Once in binary32, once in codes."""

    def forward(m: Any, x: Any) -> Any:
        y = m.c(m.q(x))
        return y, m.c2(m.r(y))

    model = trained(
        lambda: Net(
            forward, q=plain_identity(), c=conv(2, 3, bias=True), r=relu(), c2=conv(3, 2, 1)
        )
    )
    graph = checked(model, IMAGE, c=True, calibrate=False)
    assert sorted(kinds(graph)) == ["conv2d", "conv_fp32", "conv_fp32", "quantize"]


# What cannot leave in binary32: the model, as it is and as the advice makes it; the layer, the reason, the advice.
REFUSED: dict[str, tuple[Callable[[bool], nn.Module], str, str, str]] = {
    "a maximum": (
        lambda mend: Net(
            lambda m, x: m.e(F.max_pool2d(m.c(m.q(x)), 2)),
            q=plain_identity(),
            c=conv(2, 3),
            e=identity() if mend else nn.Identity(),
        ),
        *("e", "the network's output is pooled or padded from the real output of c"),
        "end the network with a QuantIdentity",
    ),
    "codes beside real values": (
        lambda mend: Net(
            lambda m, x: m.e(torch.cat([m.c(m.q(x)), m.d(m.q(x))], 1)),
            q=plain_identity(),
            c=conv(2, 3),
            d=nn.Sequential(conv(2, 3), plain_identity()),
            e=identity() if mend else nn.Identity(),
        ),
        *("e", "the network's output is the concatenation cat of different scales"),
        "end the network with a QuantLinear or a QuantIdentity",
    ),
    "a function": (
        lambda mend: Net(
            lambda m, x: m.c(m.q(x)) if mend else m.c(m.q(x)).sigmoid(),
            q=plain_identity(),
            c=conv(2, 3),
        ),
        *("sigmoid", "the network's output is sigmoid of the real output of c"),
        "outside the network: return what it is applied to, and apply it to the outputs on the host",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_advice_that_works(case: str) -> None:
    make, layer, reason, advice = REFUSED[case]
    finding = refused(trained(lambda: make(False)), IMAGE)
    assert finding.layer == layer
    assert reason in finding.reason
    assert advice in finding.suggestion
    checked(trained(lambda: make(True)), IMAGE, calibrate=False)


# Averages of codes that a network ends with -> what stands behind the first quantiser.
AVERAGES: dict[str, tuple[Callable[[], nn.Module], Shape, list[str]]] = {
    "global": (
        lambda: Net(
            lambda m, x: m.p(m.r(m.c(m.q(x)))).flatten(1),
            q=identity(),
            c=conv(2, 5, 1, bias=True),
            r=relu(),
            p=nn.AdaptiveAvgPool2d(1),
        ),
        IMAGE,
        ["conv2d", "average_fp32", "flatten"],
    ),
    "a mean, a zero point": (
        lambda: Net(
            lambda m, x: m.q(x).mean((2, 3)),
            q=plain_identity(act_quant=ShiftedUint8ActPerTensorFloat),
        ),
        IMAGE,
        ["average_fp32", "squeeze"],
    ),
    "a sum, BatchNorm": (
        lambda: Net(lambda m, x: m.n(m.q(x).sum((2, 3))), q=plain_identity(), n=norm(2, 1)),
        IMAGE,
        ["average_fp32", "squeeze"],
    ),
    "windows with padding, arithmetic": (
        lambda: Net(lambda m, x: 2 * F.avg_pool2d(m.q(x), (3, 2), 2, 1) - 1, q=plain_identity()),
        IMAGE,
        ["average_fp32"],
    ),
    "of a signal": (
        lambda: Net(lambda m, x: F.avg_pool1d(m.q(x), 3, 2), q=plain_identity()),
        SIGNAL,
        ["average_fp32"],
    ),
    "of tokens": (
        lambda: Net(lambda m, x: m.q(x).mean(1, keepdim=True), q=plain_identity()),
        TOKENS,
        ["average_fp32"],
    ),
    "a scale for each channel": (
        lambda: Net(
            lambda m, x: F.adaptive_avg_pool2d(m.q(x), 1).flatten(1),
            q=plain_identity(**by_channel()),
        ),
        WIDE,
        ["average_fp32", "flatten"],
    ),
}


@pytest.mark.parametrize("case", one_in(2, AVERAGES))
def test_averages_of_codes(case: str) -> None:
    make, shape, expected = AVERAGES[case]
    graph = checked(
        trained(make, (8, *shape[1:]) if case == "a sum, BatchNorm" else shape),
        shape,
        c=True,
        calibrate=False,
    )
    assert kinds(graph) == ["quantize", *expected]
    assert graph.tensor(graph.outputs[0]).dtype is DType.F32


UNEVEN: dict[str, Callable[[Any, Any], Any]] = {
    "windows of several sizes": lambda m, x: m.e(F.adaptive_avg_pool2d(m.q(x), (4, 3))),
    "features": lambda m, x: m.e(m.q(x).mean((1, 2, 3), keepdim=True)),
}


@pytest.mark.parametrize("case", UNEVEN)
def test_averages_of_codes_that_need_a_quantiser(case: str) -> None:
    def make(mend: bool) -> nn.Module:
        end = identity() if mend else nn.Identity()
        return Net(UNEVEN[case], q=plain_identity(), e=end)

    finding = refused(trained(lambda: make(False)), IMAGE)
    assert finding.layer == "e"
    assert "the network's output is the real output of" in finding.reason
    assert finding.suggestion == "end the network with a QuantLinear or a QuantIdentity"
    checked(trained(lambda: make(True)), IMAGE, calibrate=False)


# --- judged element by element


LOGITS: dict[str, Callable[..., Any]] = {
    "as they are": lambda y: y,
    "moved": lambda y: y.reshape(-1, 2, 2).permute(0, 2, 1).flip(2),
    "joined": lambda y: torch.cat([y, y * 0.5], 1),
}


@pytest.mark.parametrize("case", LOGITS)
def test_an_element_beside_large_ones_is_judged_by_itself(case: str) -> None:
    """Next to a channel of 1e20 the others are no noise."""
    model: Any = seeded(
        lambda: Net(lambda m, x: LOGITS[case](m.f(m.q(x))), q=plain_identity(), f=linear(6, 4))
    )
    calibrated(model, (1, 6))
    model.f.bias.data[1] = 1e20
    graph = checked(model, (1, 6), c=True, calibrate=False)
    inputs = [torch.linspace(-1, 1, 6)[None].numpy()]
    right = run_reference(graph, inputs)
    name = graph.outputs[0]
    small = [i for i in np.ndindex(right[name].shape) if abs(right[name][i]) < 1e3]
    assert len(small) >= 3
    for index in small:
        wrong = right[name].copy()
        wrong[index] *= np.float32(1 + 2.0**-8)
        found = Witness(model, graph).judge(inputs, {**right, name: wrong})
        (rejected,) = [judgement for judgement in found if not judgement.accepted]
        assert (rejected.tensor, rejected.index) == (name, index)


def test_a_sum_that_cancels_is_judged_by_what_is_added() -> None:
    """acc * scale + bias near zero has the rounding of both."""
    model: Any = seeded(lambda: Net(lambda m, x: m.f(m.q(x)), q=plain_identity(), f=linear(6, 4)))
    calibrated(model, (1, 6))
    x = torch.linspace(-1, 1, 6)[None]
    model.f.bias.data -= model(x)[0].detach() * (1 + 2.0**-20)
    graph = checked(model, (1, 6), calibrate=False)
    right = run_reference(graph, [x.numpy()])
    logits = right[graph.outputs[0]]
    assert np.abs(logits).max() < 1e-3 * float(model.f.bias.detach().abs().max())
    found = Witness(model, graph).judge([x.numpy()], right)
    assert all(judgement.accepted for judgement in found)


# --- what binary32 cannot hold

TOO_LARGE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "logits": (
        lambda: Net(
            lambda m, x: m.f(m.q(x).flatten(1)) * 3e38, q=plain_identity(), f=linear(60, 3)
        ),
        "its results could reach",
    ),
    "interpolated": (
        lambda: Net(
            lambda m, x: F.interpolate(m.q(x), scale_factor=2, mode="bilinear") * 1e30 * 1e30,
            q=plain_identity(),
        ),
        "leave binary32",
    ),
    "joined": (
        lambda: Net(
            lambda m, x: torch.cat([m.f(m.q(x)) * 1e30 * 1e9, m.g(m.q(x))], 1),
            q=plain_identity(),
            f=conv(2, 3),
            g=conv(2, 3),
        ),
        "its results could reach",
    ),
    "too small": (
        lambda: Net(
            lambda m, x: m.f(m.q(x).flatten(1)) * 1e-40, q=plain_identity(), f=linear(60, 3)
        ),
        "too small for binary32",
    ),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_results_beyond_binary32_are_refused(case: str) -> None:
    make, reason = TOO_LARGE[case]
    finding = refused(calibrated(seeded(make), IMAGE), IMAGE)
    assert reason in finding.reason
    assert "numbers behind it" in finding.suggestion or "larger numbers" in finding.suggestion
