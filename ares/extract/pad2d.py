"""Padding with the image's own codes: ReflectionPad, ReplicationPad, CircularPad1d; F.pad in these modes."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._registry import on_module
from ares.extract._taking import taken
from ares.extract._values import Value
from ares.ops.pad2d import Pad2d

MODES = ("reflect", "replicate", "circular")


@on_module(nn.ReflectionPad1d, nn.ReflectionPad2d)
def reflection_pad(call: Call) -> Value:
    return pad_with_own(call, call.module.padding, "reflect")


@on_module(nn.ReplicationPad1d, nn.ReplicationPad2d)
def replication_pad(call: Call) -> Value:
    return pad_with_own(call, call.module.padding, "replicate")


@on_module(nn.CircularPad1d)
def circular_pad(call: Call) -> Value:
    return pad_with_own(call, call.module.padding, "circular")


def pad_with_own(call: Call, padding: Sequence[int], mode: str) -> Value:
    """Padding of the last axis, or the last two, in one of `MODES`; PyTorch's order of `padding`."""
    numbers = [int(number) for number in padding]
    if len(numbers) > 4:
        reject("it pads more than height and width", "pad the last two dimensions only")
    return taken(call, Pad2d, lambda x: F.pad(x, numbers, mode))
