"""A tensor put together of itself or of its parts: expand, repeat, repeat_interleave, roll."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import axis_of, flat_arguments
from ares.extract._inner_calls import Seen, inner_call
from ares.extract._moves import move
from ares.extract._values import Codes, Index, Value
from ares.ir import frozen_array
from ares.ops.concat import MAX_OPERANDS, Concat
from ares.ops.reshape import Reshape
from ares.ops.slice import Slice

Shape = tuple[int, ...]


def expanded(call: Call) -> Value:
    """The tensor with axes of size 1 repeated, as many times as the model's result has them."""
    source, result = call.shape_of("input", 0), call.out_shape
    if len(source) != len(result):
        reject(
            f"it gives {list(source)} the shape {list(result)}, with new axes in front",
            "give it the new axes first, behind the batch: x.unsqueeze(1)",
        )
    return _tiled(call, source, [b // a for a, b in zip(source, result, strict=True)])


def widened(call: Call, value: Value, shape: Shape, wider: Shape) -> Value:
    """A value of `shape`, as part of the call, repeated along its axes of one element to a shape of the same rank."""
    if shape == wider:
        return value
    return expanded(
        inner_call(call, f"{call.name}.expand", "expand", (Seen(value, shape),), {}, wider)
    )


def larger_first(call: Call, first: Codes, second: Codes) -> tuple[Codes, Codes, bool]:
    """Two operands as an operation takes them that repeats its second one only, and whether they changed places."""
    swapped = call.tensor(first).size < call.tensor(second).size
    if swapped:
        first, second = second, first
    shape = call.tensor(first).shape
    if len(shape) == len(call.out_shape):
        whole = widened(call, first, shape, call.out_shape)
        assert isinstance(whole, Codes)
        first = whole
    return first, second, swapped


def repeated(call: Call) -> Value:
    """The whole tensor so many times along each axis."""
    source = call.shape_of("input", 0)
    counts = call.kwargs.get("repeats", call.kwargs.get("dims", flat_arguments(call.args[1:])))
    if not all(type(count) is int for count in counts) or len(counts) > len(source):
        reject(
            f"it repeats {list(source)} {counts!r} times", "give it a number for each of its axes"
        )
    return _tiled(call, source, [*[1] * (len(source) - len(counts)), *counts])


def interleaved(call: Call) -> Value:
    """Every element along an axis so many times in a row: heads of keys that serve several heads of queries."""
    source, count = call.shape_of("input", 0), call.argument("repeats", 1)
    dim = call.argument("dim", 2)
    if type(count) is not int or type(dim) is not int:
        reject("it repeats elements by a tensor, or of all axes", "give it a number and dim=...")
    axis = axis_of(dim, len(source))
    wider = (*source[: axis + 1], 1, *source[axis + 1 :])
    counts = [1] * len(wider)
    counts[axis + 1] = count
    return _tiled(call, wider, counts)


def rolled(call: Call) -> Value:
    """Elements shifted along axes; those that leave at one end come in at the other."""
    shape = call.out_shape
    shifts, dims = call.argument("shifts", 1), call.argument("dims", 2)
    pairs = list(
        zip(*(v if isinstance(v, (tuple, list)) else (v,) for v in (shifts, dims)), strict=True)
    )
    if not all(type(number) is int for pair in pairs for number in pair):
        reject("it rolls by a tensor, or all axes as one", "give numbers as shifts and as dims")
    turns = [(axis_of(dim, len(shape)), shift) for shift, dim in pairs]
    if any(axis == 0 for axis, _ in turns):
        reject("it rolls the batch", "roll other dimensions")

    def add(tensor: str) -> str:
        for axis, shift in turns:
            first = -shift % shape[axis]
            if first == 0:
                continue
            source = call.builder.tensors[tensor]
            ranges = ((first, shape[axis] - first), (0, first))
            parts = tuple(
                call.add(Slice, (tensor,), source, axis=axis, start=start, count=count, step=1)
                for start, count in ranges
            )
            tensor = _side_by_side(call, parts, axis)
        return tensor

    def back(index: Index) -> Index:
        for axis, shift in reversed(turns):
            index = np.roll(index, -shift, axis)
        return index

    return move(call, add, back)


def _tiled(call: Call, seen: Shape, counts: Sequence[int]) -> Value:
    """The argument, seen in the shape `seen`, repeated along its axes, in the call's own shape."""
    before, after = call.shape_of("input", 0), call.out_shape
    if counts[0] != 1:
        reject("it repeats the batch", "repeat along other axes")
    if 0 in counts:
        reject("it repeats nothing", "repeat at least once")

    def add(tensor: str) -> str:
        tensor = _seen(call, tensor, seen)
        for axis, count in enumerate(counts):
            tensor = _copies(call, tensor, axis, count)
        return _seen(call, tensor, after)

    def back(index: Index) -> Index | None:
        split = [size for pair in zip(counts, seen, strict=True) for size in pair]
        copies = index.reshape(split)
        first = copies[tuple(slice(0, 1) if i % 2 == 0 else slice(None) for i in range(len(split)))]
        return first.reshape(before) if (copies == first).all() else None

    assert math.prod(after) == math.prod(seen) * math.prod(counts)
    return move(call, add, back)


def _copies(call: Call, tensor: str, axis: int, count: int) -> str:
    """A tensor so many times along an axis; many copies are copies of copies, for a concatenation takes a few parts."""
    if count <= MAX_OPERANDS:
        return _side_by_side(call, (tensor,) * count, axis)
    block = _side_by_side(call, (tensor,) * MAX_OPERANDS, axis)
    blocks, left = divmod(count, MAX_OPERANDS)
    return _side_by_side(call, (_copies(call, block, axis, blocks), *(tensor,) * left), axis)


def _side_by_side(call: Call, parts: tuple[str, ...], axis: int) -> str:
    if len(parts) == 1:
        return parts[0]
    tables: Any = tuple(frozen_array([], np.uint8) for _ in parts)
    return call.add(Concat, parts, call.builder.tensors[parts[0]], axis=axis, tables=tables)


def _seen(call: Call, tensor: str, shape: Shape) -> str:
    source = call.builder.tensors[tensor]
    if source.shape == shape:
        return tensor
    return call.add(Reshape, (tensor,), source, shape=shape)
