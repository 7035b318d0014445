"""CircularPad2d: codes from the opposite edge."""

from __future__ import annotations

import numpy as np
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._moves import move
from ares.extract._registry import on_module
from ares.extract._values import Index, Value
from ares.ops.circular_pad2d import CircularPad2d


@on_module(nn.CircularPad2d)
def circular_pad2d(call: Call) -> Value:
    left, right, top, bottom = call.module.padding
    if min(call.module.padding) < 0:
        reject("it pads by less than nothing, which crops", "crop with a slice")

    def add(tensor: str) -> str:
        return call.add(
            CircularPad2d,
            (tensor,),
            call.builder.tensors[tensor],
            padding=(top, left, bottom, right),
        )

    def back(index: Index) -> Index | None:
        height, width = index.shape[-2:]
        inner = index[..., top : height - bottom, left : width - right]
        frame = (*((0, 0),) * (index.ndim - 2), (top, bottom), (left, right))
        return inner if np.array_equal(np.pad(inner, frame, mode="wrap"), index) else None

    return move(call, add, back)
