"""expand, repeat and repeat_interleave: codes come again, now or when their quantiser is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tests.extract.behind import behind, trained
from tests.extract.models import (
    IMAGE,
    Net,
    calibrated,
    checked,
    conv,
    identity,
    kinds,
    plain_identity,
    refused,
    seeded,
)

Function = Callable[..., Any]
REPEATS: dict[str, Function] = {
    "expand": lambda y: y[:, :1].expand(-1, 3, -1, -1),
    "expand two axes": lambda y: y[:, :, :1, :1].expand(y.shape[0], 2, 4, 5),
    "expand to what it is": lambda y: y.expand(-1, -1, -1, -1),
    "expand_as": lambda y: y[:, :1].expand_as(y),
    "broadcast_to": lambda y: torch.broadcast_to(y[:, :, :1], (y.shape[0], 2, 3, 5)),
    "repeat": lambda y: y.repeat(1, 2, 1, 3),
    "repeat, a tuple": lambda y: y.repeat((1, 1, 2, 1)),
    "tile": lambda y: torch.tile(y, (2, 1)),
    "repeat_interleave": lambda y: y.repeat_interleave(3, dim=1),
    "repeat_interleave, the last": lambda y: torch.repeat_interleave(y, 2, -1),
    "roll": lambda y: y.roll(2, 2),
    "roll back": lambda y: torch.roll(y, shifts=-1, dims=-1),
    "roll two axes": lambda y: torch.roll(y, (-2, 1), (2, 3)),
    "roll once around": lambda y: torch.roll(y, (6, 0), (2, 3)),
    "heads that serve several": lambda y: (
        y[:, :, None].expand(-1, -1, 3, -1, -1).reshape(y.shape[0], 6, 6, 5)
    ),
}


@pytest.mark.parametrize("name", REPEATS)
def test_codes(name: str) -> None:
    graph = checked(trained(behind(lambda m, y: REPEATS[name](y))), IMAGE, c=True, calibrate=False)
    moves = {"concat", "reshape", "slice", "squeeze", "requantize", "quantize"}
    assert moves.issuperset(kinds(graph))


def test_a_real_value() -> None:
    """The codes that its quantiser will make come again."""

    def model(function: Function) -> nn.Module:
        return Net(
            lambda m, x: m.out(function(m.conv(m.x(x)).repeat_interleave(2, 1))),
            x=identity(),
            conv=conv(2, 3),
            out=identity(),
        )

    graph = checked(seeded(lambda: model(lambda y: (y * 0.5).relu())), IMAGE, c=True)
    assert kinds(graph) == ["quantize", "conv2d", "reshape", "concat", "reshape"]
    apart = model(lambda y: y * torch.arange(6, dtype=y.dtype).reshape(6, 1, 1))
    assert "its constants differ within what" in refused(calibrated(apart, IMAGE), IMAGE).reason


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda y: y.repeat(2, 1, 1, 1), "it repeats the batch"),
        (lambda y: y.expand(1, -1, -1, -1, -1).flatten(1, 2), "with new axes in front"),
        (lambda y: y.roll(1), "it rolls by a tensor, or all axes as one"),
        (lambda y: y.roll((1, 1), (0, 2)), "it rolls the batch"),
        (lambda y: y.repeat_interleave(2), "it repeats elements by a tensor, or of all axes"),
    ],
)
def test_refused(function: Function, message: str) -> None:
    def make() -> nn.Module:
        return Net(lambda m, x: function(m.x(x)), x=plain_identity())

    assert message in refused(calibrated(make(), IMAGE), IMAGE).reason
