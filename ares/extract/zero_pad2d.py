"""ZeroPad1d, ZeroPad2d and functional zero padding: the code of real zero around the codes. Negative padding crops."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._moves import move
from ares.extract._registry import on_function, on_module
from ares.extract._taking import back_through
from ares.extract._values import Value
from ares.extract.pad2d import MODES, pad_with_own
from ares.ops.reshape import Reshape
from ares.ops.slice import Slice
from ares.ops.zero_pad2d import ZeroPad2d


@on_module(nn.ZeroPad1d, nn.ConstantPad1d, nn.ZeroPad2d, nn.ConstantPad2d)
def zero_pad2d(call: Call) -> Value:
    if call.module.value != 0:
        reject(f"it pads with {call.module.value!r}", "pad with zeros: nn.ZeroPad2d")
    return _pad(call, call.module.padding)


@on_function("pad")
def pad(call: Call) -> Value:
    mode, value = call.argument("mode", 2, "constant"), call.argument("value", 3, 0)
    if mode in MODES:
        return pad_with_own(call, call.argument("pad", 1), mode)
    if mode != "constant" or (value or 0) != 0:
        reject(f"it pads with mode {mode!r}, value {value!r}", "pad with zeros")
    return _pad(call, call.argument("pad", 1))


def _pad(call: Call, padding: Sequence[int]) -> Value:
    before = call.shape_of("input", 0)
    numbers = [int(number) for number in padding]
    # PyTorch counts axes from the last.
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))[::-1]
    sides = dict(enumerate(pairs, start=len(before) - len(pairs)))
    sides = {axis: pair for axis, pair in sides.items() if any(pair)}
    if 0 in sides:
        reject("it pads the batch", "pad the other dimensions only")
    if len(before) not in (2, 3, 4):
        reject(f"it pads a tensor of shape {list(before)}", "pad it before it is reshaped")

    def add(tensor: str) -> str:
        return _padded(call, _cropped(call, tensor, sides), sides)

    return move(call, add, back_through(before, lambda x: F.pad(x, numbers)), adds_zeros=True)


def _cropped(call: Call, tensor: str, sides: dict[int, tuple[int, int]]) -> str:
    for axis, (low, high) in sides.items():
        source = call.builder.tensors[tensor]
        start, end = max(-low, 0), max(-high, 0)
        if start or end:
            count = source.shape[axis] - start - end
            tensor = call.add(Slice, (tensor,), source, axis=axis, start=start, count=count)
    return tensor


def _padded(call: Call, tensor: str, sides: dict[int, tuple[int, int]]) -> str:
    tensors = call.builder.tensors
    rank = len(tensors[tensor].shape)
    low, high = (
        [max(pair[end], 0) for pair in (sides.get(axis, (0, 0)) for axis in range(rank))]
        for end in (0, 1)
    )
    if any((*low[-2:], *high[-2:])):
        frame = (low[-2], low[-1], high[-2], high[-1])
        tensor = call.add(ZeroPad2d, (tensor,), tensors[tensor], padding=frame)
    if rank == 4 and (low[1] or high[1]):
        # The pixels in a row, which is how they lie: only the padding costs.
        _, channels, *image = tensors[tensor].shape
        seen = (1, channels, image[0] * image[1])
        tensor = call.add(Reshape, (tensor,), tensors[tensor], shape=seen)
        frame = (low[1], 0, high[1], 0)
        tensor = call.add(ZeroPad2d, (tensor,), tensors[tensor], padding=frame)
        whole = (1, low[1] + channels + high[1], *image)
        tensor = call.add(Reshape, (tensor,), tensors[tensor], shape=whole)
    return tensor
