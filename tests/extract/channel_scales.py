"""Parts of models whose activations have a scale for each channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from brevitas import nn as qnn
from torch import nn

from tests.extract.models import (
    Net,
    conv,
    identity,
    tensor_quant,
)

CHANNELS = 6
WIDE = (1, CHANNELS, 6, 5)
SERIES = (1, CHANNELS, 7)


def by_channel(channels: int = CHANNELS, rank: int = 4, **options: Any) -> dict[str, Any]:
    """Brevitas' options of a scale for each channel, axis 1."""
    return {
        "scaling_per_output_channel": True,
        "per_channel_broadcastable_shape": (1, channels, *[1] * (rank - 2)),
        "scaling_stats_permute_dims": (1, 0, *range(2, rank)),
        **options,
    }


def depthwise(channels: int = CHANNELS, **options: Any) -> qnn.QuantConv2d:
    return conv(channels, channels, groups=channels, padding=1, **options)


def set_scales(model: nn.Module, path: str, values: list[float]) -> None:
    """Other thresholds for a quantiser that still collects them, as after `calibrated`."""
    set_collected(tensor_quant(model, path).scaling_impl, values)


def set_collected(collected: Any, values: list[float]) -> None:
    collected.buffer.copy_(torch.tensor(values).reshape(collected.buffer.shape))


def scales(model: nn.Module, path: str) -> torch.Tensor:
    return tensor_quant(model, path)(torch.zeros(()))[1].flatten().detach()


def on_depthwise(forward: Callable[..., Any] | None = None, **layers: nn.Module) -> nn.Module:
    """`act` of the input, something, a depthwise convolution and its quantiser."""
    between = forward or (lambda m, x: x)
    return Net(
        lambda m, x: m.out(m.dw(between(m, m.act(x)))),
        **{
            "act": identity(**by_channel()),
            "dw": depthwise(bias=True),
            "out": identity(),
            **layers,
        },
    )
