"""permute and transpose: the order of axes; shuffles of pixels and channels, which are a permutation of a view."""

from __future__ import annotations

import numpy as np
from torch import nn

from ares.extract._arranged import arranged
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import axis_of, flat_arguments
from ares.extract._moves import move
from ares.extract._registry import on_function, on_module
from ares.extract._values import Codes, Index, Real, Unknown, Value
from ares.ops.permute import Permute
from ares.ops.reshape import Reshape


@on_function("permute")
def permute(call: Call) -> Value:
    dims = call.kwargs.get("dims", flat_arguments(call.args[1:]))
    return _permute(call, tuple(int(dim) for dim in dims))


@on_function("transpose")
def transpose(call: Call) -> Value:
    rank = len(call.out_shape)
    first = axis_of(int(call.argument("dim0", 1)), rank)
    second = axis_of(int(call.argument("dim1", 2)), rank)
    axes = list(range(rank))
    axes[first], axes[second] = axes[second], axes[first]
    return _permute(call, tuple(axes))


@on_function("mT")
def last_two(call: Call) -> Value:
    rank = len(call.out_shape)
    return _permute(call, (*range(rank - 2), rank - 1, rank - 2))


@on_function("T", "t")
def reverse(call: Call) -> Value:
    return _permute(call, tuple(reversed(range(len(call.out_shape)))))


@on_function("movedim")
def movedim(call: Call) -> Value:
    rank = len(call.out_shape)
    source, destination = (
        [axis_of(int(dim), rank) for dim in (dims if isinstance(dims, (tuple, list)) else (dims,))]
        for dims in (call.argument("source", 1), call.argument("destination", 2))
    )
    axes = [axis for axis in range(rank) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        axes.insert(place, axis)
    return _permute(call, tuple(axes))


@on_module(nn.PixelShuffle)
@on_function("pixel_shuffle")
def pixel_shuffle(call: Call) -> Value:
    factor = call.setting("upscale_factor", 1)
    _, channels, height, width = _image(call)
    split = (1, channels // factor**2, factor, factor, height, width)
    return _reordered(call, split, (0, 1, 4, 2, 5, 3))


@on_module(nn.PixelUnshuffle)
@on_function("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Value:
    factor = call.setting("downscale_factor", 1)
    _, channels, height, width = _image(call)
    split = (1, channels, height // factor, factor, width // factor, factor)
    return _reordered(call, split, (0, 1, 3, 5, 2, 4))


@on_module(nn.ChannelShuffle)
@on_function("channel_shuffle")
def channel_shuffle(call: Call) -> Value:
    groups = call.setting("groups", 1)
    _, channels, *sizes = call.shape_of("input", 0)
    split = (1, groups, channels // groups, *sizes)
    return _reordered(call, split, (0, 2, 1, *range(3, len(split))))


def _image(call: Call) -> tuple[int, ...]:
    shape = call.shape_of("input", 0)
    if len(shape) != 4:
        reject(f"its input has shape {list(shape)}", "give it [batch, channels, height, width]")
    return shape


def _reordered(call: Call, split: tuple[int, ...], axes: tuple[int, ...]) -> Value:
    """The elements seen as `split`, its axes permuted, seen as the call's own shape."""
    before, after = call.shape_of("input", 0), call.out_shape

    def add(tensor: str) -> str:
        tensors = call.builder.tensors
        tensor = call.add(Reshape, (tensor,), tensors[tensor], shape=split)
        tensor = call.add(Permute, (tensor,), tensors[tensor], axes=axes)
        return call.add(Reshape, (tensor,), tensors[tensor], shape=after)

    def back(index: Index) -> Index:
        moved = index.reshape(tuple(split[axis] for axis in axes))
        return moved.transpose(np.argsort(axes)).reshape(before)

    return move(call, add, back)


def _permute(call: Call, dims: tuple[int, ...]) -> Value:
    axes = tuple(axis_of(dim, len(dims)) for dim in dims)
    if axes[0] != 0 and len(axes) > 2 and isinstance(call.x, Codes | Real | Unknown):
        return arranged(call, call.x, axes)
    if axes[0] != 0:
        reject("it moves the batch away from the front", "permute the other dimensions only")

    def add(tensor: str) -> str:
        if axes == tuple(range(len(axes))):
            return tensor
        return call.add(Permute, (tensor,), call.builder.tensors[tensor], axes=axes)

    return move(call, add, lambda index: index.transpose(np.argsort(axes)))
