"""Padding of sequences, tokens, features and channels, and cropping by negative padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
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
    linear,
    plain_identity,
    refused,
    relu,
    seeded,
)

ZERO_POINT = {"act_quant": ShiftedUint8ActPerTensorFloat}
Operation = Callable[[Any], Any]

# Function, what it is applied to, operations, shape of the result.
ZEROS: dict[str, tuple[Operation, Shape, list[str], Shape]] = {
    "ZeroPad1d": (nn.ZeroPad1d((2, 1)), TOKENS, ["zero_pad2d"], (1, 4, 9)),
    "ConstantPad1d of zero": (nn.ConstantPad1d(1, 0.0), TOKENS, ["zero_pad2d"], (1, 4, 8)),
    "causal": (lambda y: F.pad(y, (3, 0)), TOKENS, ["zero_pad2d"], (1, 4, 9)),
    "tokens in front": (lambda y: F.pad(y, (0, 0, 2, 0)), TOKENS, ["zero_pad2d"], (1, 6, 6)),
    "both axes": (lambda y: F.pad(y, (1, 2, 3, 4)), TOKENS, ["zero_pad2d"], (1, 11, 9)),
    "features": (lambda y: F.pad(y, (1, 2)), (1, 5), ["zero_pad2d"], (1, 8)),
    "nothing": (lambda y: F.pad(y, (0, 0)), TOKENS, [], TOKENS),
    "channels, as in a ResNet for CIFAR": (
        lambda y: F.pad(y[:, :, ::2, ::2], (0, 0, 0, 0, 1, 1)),
        IMAGE,
        ["slice", "slice", "reshape", "zero_pad2d", "reshape"],
        (1, 4, 3, 3),
    ),
    "channels and image": (
        lambda y: F.pad(y, (1, 0, 0, 2, 0, 3)),
        IMAGE,
        ["zero_pad2d", "reshape", "zero_pad2d", "reshape"],
        (1, 5, 8, 6),
    ),
    "cropped": (lambda y: F.pad(y, (-1, -2)), TOKENS, ["slice"], (1, 4, 3)),
    "cropped and padded": (
        lambda y: F.pad(y, (-1, 2, 3, -1)),
        IMAGE,
        ["slice", "slice", "zero_pad2d"],
        (1, 2, 8, 6),
    ),
}


@pytest.mark.parametrize("case", ZEROS)
def test_zeros_around_codes(case: str) -> None:
    pad, shape, expected, after = ZEROS[case]
    layers = {"p": pad} if isinstance(pad, nn.Module) else {}
    model = Net(lambda m, x: getattr(m, "p", pad)(m.q(x)), q=plain_identity(**ZERO_POINT), **layers)
    graph = checked(model, shape, c=True)
    assert kinds(graph) == ["quantize", *expected]
    assert graph.tensor(graph.outputs[0]).shape == after


@pytest.mark.parametrize("case", ZEROS)
def test_zeros_around_real_values(case: str) -> None:
    """Of the network's input, before its quantiser."""
    pad, shape, expected, _ = ZEROS[case]
    layers = {"p": pad} if isinstance(pad, nn.Module) else {}
    graph = checked(Net(lambda m, x: m.q(getattr(m, "p", pad)(x)), q=identity(), **layers), shape)
    assert kinds(graph) == ["quantize", *expected]


def test_zeros_around_quant_tensors() -> None:
    model = Net(lambda m, x: m.p(m.q(x)), q=identity(**ZERO_POINT), p=nn.ZeroPad1d(1))
    assert kinds(checked(model, TOKENS)) == ["quantize", "zero_pad2d"]


def test_zeros_around_tokens_behind_a_convolution() -> None:
    """They lie channels last, and stay so."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(F.pad(m.c(m.q(x)).flatten(2), (2, 0, 0, 1))),
            q=identity(),
            c=conv(2, 3),
            r=relu(),
        )
    )
    assert kinds(checked(model, IMAGE, c=True)) == ["quantize", "conv2d", "flatten", "zero_pad2d"]


def test_constants_behind_padding_are_those_of_what_is_padded() -> None:
    """A factor for each position of a padded row is not one for each feature of the layer."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.n(F.pad(m.f(m.q(x)), (1, 1)))),
            q=identity(),
            f=linear(5, 4),
            n=nn.BatchNorm1d(6),
            r=relu(),
        )
    )
    finding = refused(calibrated(model, (3, 5)), (1, 5))
    assert "added after padding with zeros" in finding.reason


# Function and what it makes of zero; of codes, which are known, a table does it.
FUNCTIONS: dict[str, tuple[Operation, bool]] = {
    "gelu": (F.gelu, True),
    "tanh": (torch.tanh, True),
    "sigmoid": (torch.sigmoid, False),
    "hardsigmoid": (F.hardsigmoid, False),
    "log_sigmoid": (F.logsigmoid, False),
}


def _padded_then(function: Operation, real: bool) -> Net:
    """Padding of real values behind a convolution, or of the codes behind its quantiser, then a function."""

    def forward(m: Any, x: Any) -> Any:
        y = m.c(m.q(x))
        return m.r(function(F.pad(y if real else m.q2(y), (2, 0, 1, 1))))

    layers = {} if real else {"q2": plain_identity(**ZERO_POINT)}
    return Net(forward, q=identity(), c=conv(2, 3), r=plain_identity(), **layers)


@pytest.mark.parametrize("case", FUNCTIONS)
def test_padding_followed_by_a_function(case: str) -> None:
    """Of codes the frame becomes the function of zero; of real values only where that is zero."""
    function, keeps_zero = FUNCTIONS[case]
    graph = checked(seeded(lambda: _padded_then(function, False)), IMAGE, c=case == "sigmoid")
    assert kinds(graph)[:3] == ["quantize", "conv2d", "zero_pad2d"]
    assert len(kinds(graph)) == 4
    if keeps_zero:
        graph = checked(seeded(lambda: _padded_then(function, True)), IMAGE)
        assert kinds(graph) == ["quantize", "conv2d", "zero_pad2d"]
        return
    finding = refused(calibrated(seeded(lambda: _padded_then(function, True)), IMAGE), IMAGE)
    assert f"{case} comes after padding with zeros, which it changes" in finding.reason
    assert "QuantIdentity between the two" in finding.suggestion


REFUSED: dict[str, tuple[Operation, Shape, str, str]] = {
    "the batch": (lambda y: F.pad(y, (0, 0, 0, 0, 1, 0)), TOKENS, "the batch", "other dimensions"),
    "rank 5": (lambda y: F.pad(y.unsqueeze(1), (1, 1)), IMAGE, "[1, 1, 2, 6, 5]", "before"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_padding_that_is_refused(case: str) -> None:
    pad, shape, reason, suggestion = REFUSED[case]
    model = Net(lambda m, x: m.q2(pad(m.q(x))), q=plain_identity(), q2=plain_identity())
    finding = refused(calibrated(model, shape), shape)
    assert reason in finding.reason
    assert suggestion in finding.suggestion


# Function, what it is applied to, shape of the result.
OWN: dict[str, tuple[Operation, Shape, Shape]] = {
    "ReflectionPad2d": (nn.ReflectionPad2d((1, 2, 3, 4)), IMAGE, (1, 2, 13, 8)),
    "ReflectionPad1d": (nn.ReflectionPad1d(2), TOKENS, (1, 4, 10)),
    "ReplicationPad2d": (nn.ReplicationPad2d((7, 0, 0, 1)), IMAGE, (1, 2, 7, 12)),
    "ReplicationPad1d": (nn.ReplicationPad1d((3, 0)), TOKENS, (1, 4, 9)),
    "CircularPad1d": (nn.CircularPad1d((5, 1)), TOKENS, (1, 4, 12)),
    "F.pad, reflect": (lambda y: F.pad(y, (2, 1), mode="reflect"), TOKENS, (1, 4, 9)),
    "F.pad, replicate": (lambda y: F.pad(y, (0, 1, 2, 0), "replicate"), IMAGE, (1, 2, 8, 6)),
    "F.pad, circular": (lambda y: F.pad(y, (1, 2, 3, 0), "circular"), IMAGE, (1, 2, 9, 8)),
    "cropped as well": (lambda y: F.pad(y, (-1, 2, 0, 0), "reflect"), IMAGE, (1, 2, 6, 6)),
}


@pytest.mark.parametrize("case", OWN)
def test_padding_with_the_images_own_codes(case: str) -> None:
    """Of codes, of the network's input, and between a layer and its quantiser, which functions change places with."""
    own, shape, after = OWN[case]

    def forward(m: Any, x: Any) -> Any:
        y, pad = m.q(x), getattr(m, "p", own)
        return pad(y), m.q2(pad(x)), m.q3(m.prelu(pad(m.f(y))))

    model = seeded(
        lambda: Net(
            forward,
            q=plain_identity(**ZERO_POINT),
            q2=identity(**ZERO_POINT),
            q3=identity(),
            f=linear(shape[-1], shape[-1]),
            prelu=nn.PReLU(),
            **({"p": own} if isinstance(own, nn.Module) else {}),
        )
    )
    graph = checked(model, shape, c=True)
    assert kinds(graph).count("pad2d") == 3
    assert [graph.tensor(name).shape for name in graph.outputs] == [after] * 3


def test_padding_quant_tensors_with_their_own_codes() -> None:
    model = Net(lambda m, x: m.p(m.q(x)), q=identity(**ZERO_POINT), p=nn.ReflectionPad2d(1))
    assert kinds(checked(model, IMAGE)) == ["quantize", "pad2d"]


def test_constants_of_channels_behind_mirrored_pixels() -> None:
    """One for each channel changes places with the padding; one for each pixel does not."""

    def make(shape: Shape) -> nn.Module:
        factors = 1 + torch.rand(shape)
        net = Net(
            lambda m, x: m.r(F.pad(m.c(m.q(x)), (1, 1, 1, 1), "reflect") * m.factors),
            q=identity(),
            c=conv(2, 3, padding=1),
            r=relu(),
        )
        net.register_buffer("factors", factors)
        return net

    graph = checked(seeded(lambda: make((3, 1, 1))), IMAGE)
    assert kinds(graph) == ["quantize", "conv2d", "pad2d"]
    model = calibrated(seeded(lambda: make((1, 1, 7))), IMAGE)
    assert "its constants differ" in refused(model, IMAGE).reason
