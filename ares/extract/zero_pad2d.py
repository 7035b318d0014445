"""ZeroPad2d and functional zero padding: the code of real zero around the codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._moves import move
from ares.extract._registry import on_function, on_module
from ares.extract._values import Index, Value
from ares.ops.zero_pad2d import ZeroPad2d


@on_module(nn.ZeroPad2d, nn.ConstantPad2d)
def zero_pad2d(call: Call) -> Value:
    if call.module.value != 0:
        reject(f"it pads with {call.module.value!r}", "pad with zeros: nn.ZeroPad2d")
    return _pad(call, call.module.padding)


@on_function("pad")
def pad(call: Call) -> Value:
    mode, value = call.argument("mode", 2, "constant"), call.argument("value", 3, 0)
    if mode != "constant" or (value or 0) != 0:
        reject(f"it pads with mode {mode!r}, value {value!r}", "pad with zeros")
    return _pad(call, call.argument("pad", 1))


def _pad(call: Call, padding: Any) -> Value:
    left, right, top, bottom = (*padding, *(0,) * (4 - len(padding)))[:4]
    if any(padding[4:]):
        reject("it pads more than height and width", "pad the last two dimensions only")

    def add(tensor: str) -> str:
        return call.add(
            ZeroPad2d,
            (tensor,),
            call.builder.tensors[tensor],
            padding=(int(top), int(left), int(bottom), int(right)),
        )

    height, width = call.shape_of("input", 0)[-2:]

    def back(index: Index) -> Index:
        # Negative padding takes away.
        whole = np.full((*index.shape[:-2], height, width), -1, np.int64)
        y, x = max(-top, 0), max(-left, 0)
        inner = index[..., max(top, 0) :, max(left, 0) :]
        rows, columns = (
            min(size, of)
            for size, of in zip(inner.shape[-2:], (height - y, width - x), strict=True)
        )
        whole[..., y : y + rows, x : x + columns] = inner[..., :rows, :columns]
        return whole

    return move(call, add, back, adds_zeros=True)
