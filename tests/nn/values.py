"""Inputs and an independent quantiser for the tests of `ares.nn`."""

from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def ramp(*shape: int) -> Tensor:
    """Values in (-1, 1), all different, both signs, in no simple order."""
    count = int(torch.tensor(shape).prod())
    order = (torch.arange(count) * 37 + 11) % (2 * count + 1) - count
    return (order.float() / (count + 1)).reshape(shape)


def calibrated(module: Module, *inputs: object) -> Module:
    """The module after one training forward on `inputs`, in eval mode."""
    with torch.no_grad():
        module.train()(*inputs)
    return module.eval()


def expected_codes(value: Tensor, scale: Tensor, bit_width: int) -> Tensor:
    """Half to even, then clamped to the signed range: what a QuantIdentity means, in float64."""
    codes = torch.round(value / scale.double()).clamp(
        -(2 ** (bit_width - 1)), 2 ** (bit_width - 1) - 1
    )
    return codes.long()
