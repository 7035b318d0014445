"""Shuffled channels and pixels, as modules and written out: moves, before the quantiser and behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.extract.models import (
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

Shuffle = Callable[[Any], Any]
IMAGE = (1, 8, 4, 6)
SEQUENCE = (1, 8, 6)


def as_shufflenet(y: Any) -> Any:
    """Its own words: rank 5, made contiguous."""
    batch, channels, height, width = y.size()
    y = torch.transpose(y.view(batch, 2, channels // 2, height, width), 1, 2).contiguous()
    return y.view(batch, -1, height, width)


CHANNELS: dict[str, tuple[Shuffle, Shape]] = {
    "nn.ChannelShuffle": (nn.ChannelShuffle(4), IMAGE),
    "nn.ChannelShuffle of a sequence": (nn.ChannelShuffle(2), SEQUENCE),
    "F.channel_shuffle": (lambda y: F.channel_shuffle(y, 2), IMAGE),
    "view, transpose, view": (as_shufflenet, IMAGE),
    "reshape, permute, reshape": (
        lambda y: y.reshape(y.shape[0], 4, 2, 4, 6).permute(0, 2, 1, 3, 4).reshape(y.shape),
        IMAGE,
    ),
    "of a sequence": (
        lambda y: y.view(y.shape[0], 2, 4, 6).transpose(1, 2).reshape(y.shape),
        SEQUENCE,
    ),
}
PIXELS: dict[str, tuple[Shuffle, Shape]] = {
    "nn.PixelShuffle": (nn.PixelShuffle(2), IMAGE),
    "nn.PixelUnshuffle": (nn.PixelUnshuffle(2), IMAGE),
    "F.pixel_shuffle": (lambda y: F.pixel_shuffle(y, 2), IMAGE),
    "F.pixel_unshuffle": (lambda y: F.pixel_unshuffle(y, downscale_factor=2), IMAGE),
}
SHUFFLES = CHANNELS | PIXELS


def _layers(shuffle: Shuffle) -> dict[str, nn.Module]:
    return {"p": shuffle} if isinstance(shuffle, nn.Module) else {}


@pytest.mark.parametrize("case", SHUFFLES)
def test_of_codes(case: str) -> None:
    shuffle, shape = SHUFFLES[case]
    model = Net(
        lambda m, x: (lambda f: (f(m.q(x)), f(m.q2(x))))(getattr(m, "p", shuffle)),
        q=plain_identity(),
        q2=identity(),
        **_layers(shuffle),
    )
    moves = ["reshape", "permute", "reshape"]
    assert sorted(kinds(checked(model, shape, c=True))) == sorted(["quantize", *moves] * 2)


@pytest.mark.parametrize("case", [case for case in SHUFFLES if "sequence" not in case])
def test_before_the_quantizer(case: str) -> None:
    """Constants for each channel behind a shuffle of channels are those of others before it."""
    shuffle, shape = SHUFFLES[case]
    channels = {"PixelShuffle": 2, "pixel_shuffle": 2}.get(case.partition(".")[2], 8)
    has_norm = "nshuffle" not in case
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.n(getattr(m, "p", shuffle)(m.c(m.q(x))))),
            q=identity(),
            c=conv(8, 8, padding=1),
            n=nn.BatchNorm2d(channels) if has_norm else nn.GELU(),
            r=relu(),
            **_layers(shuffle),
        )
    )
    graph = checked(model, shape, c=case in ("view, transpose, view", "F.pixel_shuffle"))
    assert kinds(graph) == ["quantize", "conv2d", "reshape", "permute", "reshape"]


def test_of_a_sequence_before_the_quantizer() -> None:
    shuffle, shape = CHANNELS["of a sequence"]
    model = seeded(
        lambda: Net(lambda m, x: m.r(shuffle(m.f(m.q(x)))), q=identity(), f=linear(6, 6), r=relu())
    )
    assert kinds(checked(model, shape)) == ["quantize", "linear", "reshape", "permute", "reshape"]


def test_channels_that_unshuffling_makes_have_no_constants_of_the_layer() -> None:
    """Each of them is a part of one channel of the convolution, which has one constant."""
    model = seeded(
        lambda: Net(
            lambda m, x: m.r(m.n(F.pixel_unshuffle(m.c(m.q(x)), 2))),
            q=identity(),
            c=conv(8, 8, padding=1),
            n=nn.BatchNorm2d(32),
            r=relu(),
        )
    )
    finding = refused(calibrated(model, IMAGE), IMAGE)
    assert "not one for each channel" in finding.reason
    assert "put a QuantIdentity before it" in finding.suggestion
