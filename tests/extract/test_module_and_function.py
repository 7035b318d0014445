"""A layer as a module, and its function with places, with names and with what it defaults to: one operation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ares.extract import extract
from tests.extract.models import Shape, plain_identity, seeded

IMAGE, ROWS = (1, 8, 6, 8), (1, 8, 12)


@dataclass(frozen=True)
class Pair:
    """`functions` compute what `module` does; they find its parameters and buffers as attributes of `m`."""

    module: Callable[[], nn.Module]
    functions: tuple[Callable[[Any, Tensor], Tensor], ...]
    shape: Shape = IMAGE


PAIRS = {
    "adaptive_avg_pool1d": Pair(
        lambda: nn.AdaptiveAvgPool1d(5),
        (
            lambda m, x: F.adaptive_avg_pool1d(x, 5),
            lambda m, x: F.adaptive_avg_pool1d(x, output_size=5),
        ),
        ROWS,
    ),
    "adaptive_max_pool1d": Pair(
        lambda: nn.AdaptiveMaxPool1d(5),
        (
            lambda m, x: F.adaptive_max_pool1d(x, 5),
            lambda m, x: F.adaptive_max_pool1d(x, output_size=[5], return_indices=False),
            lambda m, x: torch.adaptive_max_pool1d(x, 5)[0],
        ),
        ROWS,
    ),
    "adaptive_max_pool2d": Pair(
        lambda: nn.AdaptiveMaxPool2d((4, None)),
        (
            lambda m, x: F.adaptive_max_pool2d(x, (4, 8)),
            lambda m, x: F.adaptive_max_pool2d(x, output_size=(4, None)),
        ),
    ),
    "adaptive_avg_pool2d, of several sizes": Pair(
        lambda: nn.AdaptiveAvgPool2d((4, 3)),
        (
            lambda m, x: F.adaptive_avg_pool2d(x, (4, 3)),
            lambda m, x: F.adaptive_avg_pool2d(x, output_size=[4, 3]),
        ),
    ),
    "avg_pool1d": Pair(
        lambda: nn.AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        (
            lambda m, x: F.avg_pool1d(x, 3, 2, 1, True, False),
            lambda m, x: F.avg_pool1d(
                x, kernel_size=[3], stride=2, padding=(1,), ceil_mode=True, count_include_pad=False
            ),
            lambda m, x: torch.avg_pool1d(x, (3,), (2,), (1,), True, False),
        ),
        ROWS,
    ),
    "avg_pool1d, its defaults": Pair(
        lambda: nn.AvgPool1d(2),
        (lambda m, x: F.avg_pool1d(x, 2), lambda m, x: torch.avg_pool1d(x, 2)),
        ROWS,
    ),
    "avg_pool2d, of several divisors": Pair(
        lambda: nn.AvgPool2d((2, 3), (3, 2), (1, 0), ceil_mode=True, count_include_pad=False),
        (
            lambda m, x: F.avg_pool2d(x, (2, 3), (3, 2), (1, 0), True, False),
            lambda m, x: F.avg_pool2d(
                x, (2, 3), stride=(3, 2), padding=(1, 0), ceil_mode=True, count_include_pad=False
            ),
        ),
    ),
    "max_pool1d": Pair(
        lambda: nn.MaxPool1d(3, 2, 1, 2, ceil_mode=True),
        (
            lambda m, x: F.max_pool1d(x, 3, 2, 1, 2, True),
            lambda m, x: F.max_pool1d(
                x, kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True
            ),
            lambda m, x: torch.max_pool1d(x, 3, 2, 1, 2, True),
        ),
        ROWS,
    ),
    "max_pool1d, its defaults": Pair(
        lambda: nn.MaxPool1d(2),
        (lambda m, x: F.max_pool1d(x, 2), lambda m, x: torch.max_pool1d(x, [2])),
        ROWS,
    ),
    "adaptive_avg_pool2d": Pair(
        lambda: nn.AdaptiveAvgPool2d((3, None)),
        (
            lambda m, x: F.adaptive_avg_pool2d(x, (3, None)),
            lambda m, x: F.adaptive_avg_pool2d(x, output_size=(3, 8)),
        ),
    ),
    "avg_pool2d": Pair(
        lambda: nn.AvgPool2d((2, 3), (3, 2), (1, 0), divisor_override=5),
        (
            lambda m, x: F.avg_pool2d(x, (2, 3), (3, 2), (1, 0), False, True, 5),
            lambda m, x: F.avg_pool2d(
                x, kernel_size=(2, 3), stride=(3, 2), padding=(1, 0), divisor_override=5
            ),
        ),
    ),
    "avg_pool2d, its defaults": Pair(
        lambda: nn.AvgPool2d(2),
        (lambda m, x: F.avg_pool2d(x, 2), lambda m, x: F.avg_pool2d(x, [2])),
    ),
    "batch_norm": Pair(
        lambda: nn.BatchNorm2d(8, eps=0.25),
        (
            lambda m, x: F.batch_norm(
                x, m.running_mean, m.running_var, m.weight, m.bias, False, 0.1, 0.25
            ),
            lambda m, x: F.batch_norm(
                x, m.running_mean, m.running_var, bias=m.bias, weight=m.weight, eps=0.25
            ),
            lambda m, x: torch.batch_norm(
                x, m.weight, m.bias, m.running_mean, m.running_var, False, 0.1, 0.25, False
            ),
        ),
    ),
    "batch_norm, its defaults": Pair(
        lambda: nn.BatchNorm2d(8, affine=False),
        (lambda m, x: F.batch_norm(x, m.running_mean, m.running_var),),
    ),
    "channel_shuffle": Pair(
        lambda: nn.ChannelShuffle(4),
        (
            lambda m, x: F.channel_shuffle(x, 4),
            lambda m, x: F.channel_shuffle(x, groups=4),
        ),
    ),
    "group_norm": Pair(
        lambda: nn.GroupNorm(4, 8, eps=0.25),
        (
            lambda m, x: F.group_norm(x, 4, m.weight, m.bias, 0.25),
            lambda m, x: F.group_norm(x, eps=0.25, bias=m.bias, weight=m.weight, num_groups=4),
            lambda m, x: torch.group_norm(x, 4, m.weight, m.bias, 0.25),
        ),
    ),
    "group_norm, its defaults": Pair(
        lambda: nn.GroupNorm(4, 8, affine=False),
        (lambda m, x: F.group_norm(x, 4), lambda m, x: torch.group_norm(x, 4)),
    ),
    "instance_norm": Pair(
        lambda: nn.InstanceNorm2d(8, eps=0.25, affine=True),
        (
            lambda m, x: F.instance_norm(x, None, None, m.weight, m.bias, True, 0.1, 0.25),
            lambda m, x: F.instance_norm(x, eps=0.25, bias=m.bias, weight=m.weight),
            lambda m, x: torch.instance_norm(
                x, m.weight, m.bias, None, None, True, 0.1, 0.25, False
            ),
        ),
    ),
    "instance_norm, its defaults": Pair(
        lambda: nn.InstanceNorm1d(8),
        (lambda m, x: F.instance_norm(x),),
        ROWS,
    ),
    "layer_norm": Pair(
        lambda: nn.LayerNorm((6, 8), eps=0.25),
        (
            lambda m, x: F.layer_norm(x, (6, 8), m.weight, m.bias, 0.25),
            lambda m, x: F.layer_norm(
                x, normalized_shape=(6, 8), bias=m.bias, weight=m.weight, eps=0.25
            ),
            lambda m, x: torch.layer_norm(x, (6, 8), m.weight, m.bias, 0.25),
        ),
    ),
    "layer_norm, its defaults": Pair(
        lambda: nn.LayerNorm(8, elementwise_affine=False),
        (lambda m, x: F.layer_norm(x, (8,)), lambda m, x: torch.layer_norm(x, (8,))),
    ),
    "leaky_relu": Pair(
        lambda: nn.LeakyReLU(0.25),
        (
            lambda m, x: F.leaky_relu(x, 0.25),
            lambda m, x: F.leaky_relu(x, negative_slope=0.25),
        ),
    ),
    "max_pool2d": Pair(
        lambda: nn.MaxPool2d((2, 3), (1, 2), (1, 0), (2, 1), ceil_mode=True),
        (
            lambda m, x: F.max_pool2d(x, (2, 3), (1, 2), (1, 0), (2, 1), True),
            lambda m, x: F.max_pool2d(
                x,
                kernel_size=(2, 3),
                stride=(1, 2),
                padding=(1, 0),
                dilation=(2, 1),
                ceil_mode=True,
            ),
            lambda m, x: torch.max_pool2d(x, (2, 3), (1, 2), (1, 0), (2, 1), True),
        ),
    ),
    "max_pool2d, its defaults": Pair(
        lambda: nn.MaxPool2d(2),
        (lambda m, x: F.max_pool2d(x, 2), lambda m, x: torch.max_pool2d(x, [2])),
    ),
    "pixel_shuffle": Pair(
        lambda: nn.PixelShuffle(2),
        (
            lambda m, x: F.pixel_shuffle(x, 2),
            lambda m, x: F.pixel_shuffle(x, upscale_factor=2),
        ),
    ),
    "pixel_unshuffle": Pair(
        lambda: nn.PixelUnshuffle(2),
        (
            lambda m, x: F.pixel_unshuffle(x, 2),
            lambda m, x: F.pixel_unshuffle(x, downscale_factor=2),
        ),
    ),
    "prelu": Pair(
        lambda: nn.PReLU(8, 0.125),
        (lambda m, x: F.prelu(x, m.weight), lambda m, x: F.prelu(x, weight=m.weight)),
    ),
    "rms_norm": Pair(
        lambda: nn.RMSNorm(8, eps=0.25),
        (
            lambda m, x: F.rms_norm(x, (8,), m.weight, 0.25),
            lambda m, x: F.rms_norm(x, normalized_shape=(8,), eps=0.25, weight=m.weight),
            lambda m, x: torch.rms_norm(x, (8,), m.weight, 0.25),
        ),
    ),
    "softmax": Pair(
        lambda: nn.Softmax(-1),
        (
            lambda m, x: F.softmax(x, -1),
            lambda m, x: F.softmax(x, dim=-1),
            lambda m, x: torch.softmax(x, axis=-1),  # type: ignore[call-overload]
            lambda m, x: x.softmax(-1),
        ),
        ROWS,
    ),
    "softplus": Pair(
        lambda: nn.Softplus(2.0, 5.0),
        (
            lambda m, x: F.softplus(x, 2.0, 5.0),
            lambda m, x: F.softplus(x, threshold=5.0, beta=2.0),
        ),
    ),
}


class Model(nn.Module):
    """A layer between two quantisers; its parameters and buffers are the model's own, for functions to take."""

    def __init__(
        self, layer: nn.Module, function: Callable[[Any, Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.quant_in, self.quant_out = plain_identity(), plain_identity()
        generator = torch.Generator().manual_seed(7)
        for name, parameter in layer.named_parameters():
            parameter.data = torch.rand(parameter.shape, generator=generator) + 0.5
            self.register_parameter(name, parameter)
        for name, buffer in layer.named_buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
                self.register_buffer(name, buffer)
        if function is None:
            self.layer = layer
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_in(x)
        return self.quant_out(self.layer(x) if self.function is None else self.function(self, x))


def _meaning(value: Any) -> Any:
    """What an operation does, without names: types and plain numbers."""
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.shape, value.tolist()
    if isinstance(value, tuple):
        return tuple(map(_meaning, value))
    if is_dataclass(value):
        named = ("name", "inputs", "outputs")
        own = [(f.name, _meaning(getattr(value, f.name))) for f in fields(value)]
        return type(value).__name__, [item for item in own if item[0] not in named]
    return value


def _operations(pair: Pair, function: Callable[[Any, Tensor], Tensor] | None) -> list[Any]:
    model = seeded(lambda: Model(pair.module(), function))
    model.eval()  # a BatchNorm that is calibrated would change its statistics
    for quantizer in model.children():
        quantizer.train("quant" in str(type(quantizer).__module__))
    with torch.no_grad():
        model(torch.randn(pair.shape, generator=torch.Generator().manual_seed(11)))
    graph = extract(model.eval(), (torch.zeros(pair.shape),), "pair")
    return [_meaning(operation) for operation in graph.operations]


@pytest.mark.parametrize("name", PAIRS)
def test_one_operation(name: str) -> None:
    pair = PAIRS[name]
    module = _operations(pair, None)
    assert len(module) > 1, "the layer is in no operation"
    for function in pair.functions:
        assert _operations(pair, function) == module
