"""Parts of a tensor: split, chunk, tensor_split, unbind, narrow, select and indices of slices and numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import axis_of
from ares.extract._moves import move
from ares.extract._registry import on_function
from ares.extract._values import Index, Value
from ares.ops.slice import Slice
from ares.ops.squeeze import Squeeze

_BATCH = "take parts of other dimensions: x[:, ...]"
Shape = tuple[int, ...]
Range = tuple[int, int, int, int]  # axis, start, count, step


@on_function("chunk", "split", "split_with_sizes", "tensor_split")
def split(call: Call) -> tuple[Value, ...]:
    shapes = [output.shape for output in call.node.outputs]
    axis = axis_of(_number(call.argument("dim", 2, 0)), len(shapes[0]))
    sizes = [shape[axis] for shape in shapes]
    if axis == 0:
        reject("it splits the batch", _BATCH)
    if 0 in sizes:
        reject(f"its parts have sizes {sizes}", "split into parts that hold something")
    return _parts(call, axis, sizes)


@on_function("unbind")
def unbind(call: Call) -> tuple[Value, ...]:
    axis = axis_of(_number(call.argument("dim", 1, 0)), len(call.out_shape) + 1)
    if axis == 0:
        reject("it takes the batch apart", _BATCH)
    return _parts(call, axis, [1] * len(call.node.outputs))


@on_function("narrow")
def narrow(call: Call) -> Value:
    axis = axis_of(_number(call.argument("dim", 1)), len(call.out_shape))
    start, count = _number(call.argument("start", 2)), call.out_shape[axis]
    if axis == 0:
        reject("it takes a part of the batch", _BATCH)
    return _take(call, lambda shape: [(axis, start % shape[axis], count, 1)], call.out_shape)


@on_function("select")
def select(call: Call) -> Value:
    axis = axis_of(_number(call.argument("dim", 1)), len(call.out_shape) + 1)
    index = _number(call.argument("index", 2))
    if axis == 0:
        reject("it takes one sample of the batch", _BATCH)
    return _take(call, lambda shape: [(axis, index % shape[axis], 1, 1)], call.out_shape)


@on_function("__getitem__")
def getitem(call: Call) -> Value:
    index = call.args[1]
    items = index if isinstance(index, tuple) else (index,)
    for item in items:
        if item is not None and item is not Ellipsis and not isinstance(item, slice):
            _number(item)
    # The batch stays whole and in front.
    if items[0] is not Ellipsis and items[0] not in (slice(None), slice(0, None)):
        reject("it takes a part of the batch", _BATCH)
    return _take(call, lambda shape: _ranges(items, shape), call.out_shape)


def _ranges(items: Sequence[Any], shape: Shape) -> list[Range]:
    """What an index of slices, numbers, None and one Ellipsis takes of a tensor."""
    place = next((i for i, item in enumerate(items) if item is Ellipsis), len(items))
    before, behind = (
        [i for i in part if i is not None] for part in (items[:place], items[place + 1 :])
    )
    whole = [slice(None)] * (len(shape) - len(before) - len(behind))
    found = []
    for axis, (item, size) in enumerate(zip([*before, *whole, *behind], shape, strict=True)):
        start, stop, step = (
            item.indices(size) if isinstance(item, slice) else (item % size, item % size + 1, 1)
        )
        found.append((axis, start, len(range(start, stop, step)), step))
    return found


def _parts(call: Call, axis: int, sizes: Sequence[int]) -> tuple[Value, ...]:
    def part(number: int) -> Value:
        start = sum(sizes[:number])
        shape = call.node.outputs[number].shape
        return _take(call, lambda _: [(axis, start, sizes[number], 1)], shape)

    return tuple(part(number) for number in range(len(sizes)))


def _take(call: Call, ranges: Callable[[Shape], Sequence[Range]], shape: Shape) -> Value:
    """The move that takes `ranges` of a tensor's axes, then drops or adds axes of one element."""

    def add(tensor: str) -> str:
        whole = call.builder.tensors[tensor].shape
        for axis, start, count, step in ranges(whole):
            source = call.builder.tensors[tensor]
            if (start, count) != (0, whole[axis]):
                tensor = call.add(
                    Slice, (tensor,), source, axis=axis, start=start, count=count, step=step
                )
        source = call.builder.tensors[tensor]
        if source.shape == shape:
            return tensor
        return call.add(Squeeze, (tensor,), source, shape=shape)

    whole = call.shape_of("input", 0)

    def back(index: Index) -> Index:
        places = tuple(
            slice(start, start + count * step if step > 0 else None, step)
            for _, start, count, step in _all_ranges(ranges(whole), whole)
        )
        source = np.full(whole, -1, np.int64)
        source[places] = index.reshape(source[places].shape)
        return source

    return move(call, add, back)


def _all_ranges(ranges: Sequence[Range], shape: Shape) -> list[Range]:
    """`ranges` with the axes that are taken whole, in order."""
    known = {axis: (axis, start, count, step) for axis, start, count, step in ranges}
    return [known.get(axis, (axis, 0, size, 1)) for axis, size in enumerate(shape)]


def _number(value: Any) -> int:
    if type(value) is not int:
        what = "a tensor" if isinstance(value, Value) else repr(value)
        reject(
            f"it is indexed by {what}", "index with numbers and slices that are written in forward"
        )
    return int(value)
