"""permute and transpose: the order of axes."""

from __future__ import annotations

import numpy as np

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import axis_of, flat_arguments
from ares.extract._registry import on_function
from ares.extract._values import Value
from ares.ops.permute import Permute


@on_function("permute")
def permute(call: Call) -> Value:
    dims = call.kwargs.get("dims", flat_arguments(call.args[1:]))
    return _permute(call, tuple(int(dim) for dim in dims))


@on_function("transpose")
def transpose(call: Call) -> Value:
    rank = len(call.out_shape)
    first = axis_of(int(call.argument(1, "dim0")), rank)
    second = axis_of(int(call.argument(2, "dim1")), rank)
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
        for dims in (call.argument(1, "source"), call.argument(2, "destination"))
    )
    axes = [axis for axis in range(rank) if axis not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        axes.insert(place, axis)
    return _permute(call, tuple(axes))


def _permute(call: Call, dims: tuple[int, ...]) -> Value:
    axes = tuple(axis_of(dim, len(dims)) for dim in dims)
    if axes[0] != 0:
        reject("it moves the batch away from the front", "permute the other dimensions only")

    def emit(tensor: str) -> str:
        if axes == tuple(range(len(axes))):
            return tensor
        return call.add(Permute, (tensor,), call.builder.tensors[tensor], axes=axes)

    return call.move(emit, lambda index: index.transpose(np.argsort(axes)))
