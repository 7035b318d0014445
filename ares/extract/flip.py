"""torch.flip: axes in reverse, one operation an axis."""

from __future__ import annotations

import numpy as np

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import axis_of, flat_arguments
from ares.extract._moves import move
from ares.extract._registry import on_function
from ares.extract._values import Value
from ares.ops.flip import Flip


@on_function("flip", "fliplr", "flipud")
def flip(call: Call) -> Value:
    named = {"fliplr": (1,), "flipud": (0,)}.get(call.node.function)
    dims = named or call.kwargs.get("dims") or flat_arguments(call.args[1:])
    dims = dims if isinstance(dims, (tuple, list)) else (dims,)
    axes = sorted(axis_of(int(dim), len(call.out_shape)) for dim in dims)
    if 0 in axes:
        reject("it reverses the batch", "flip other dimensions only")

    def add(tensor: str) -> str:
        for axis in axes:
            source = call.builder.tensors[tensor]
            if source.shape[axis] > 1:
                tensor = call.add(Flip, (tensor,), source, axis=axis)
        return tensor

    return move(call, add, lambda index: np.flip(index, tuple(axes)))
