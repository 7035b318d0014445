"""Moves that read each position of their result from one position of their source: padding, upsampling."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import numpy.typing as npt
import torch

from ares.extract._call import Call
from ares.extract._moves import move
from ares.extract._values import Index, Value
from ares.ops._take import TakeOperation

Function = Callable[[torch.Tensor], torch.Tensor]
Table = npt.NDArray[np.int32]


def taken(call: Call, operation: type[TakeOperation], function: Function) -> Value:
    """`function` of the call's first argument as `operation`, where it takes rows and columns (the last two axes)."""
    before = call.shape_of("input", 0)
    rows, columns = tables_of(before, function)

    def add(tensor: str) -> str:
        if not rows.size and not columns.size:
            return tensor
        source = call.builder.tensors[tensor]
        return call.add(operation, (tensor,), source, rows=rows, columns=columns)

    return move(call, add, back_through(before, function))


def tables_of(shape: tuple[int, ...], function: Function) -> tuple[Table, Table]:
    """Which rows and columns of a tensor of `shape` a function takes: PyTorch's own answer, empty where all stay."""
    plane = (*(1,) * len(shape[:-2]), *shape[-2:])

    def table(axis: int) -> Table:
        line = [1] * len(shape)
        line[axis] = shape[axis]
        ramp = torch.arange(shape[axis], dtype=torch.float64).reshape(line).expand(plane)
        moved = _result(function, ramp)
        found = np.moveaxis(moved, axis, -1).reshape(-1, moved.shape[axis])[0].astype(np.int32)
        same = np.array_equal(found, np.arange(shape[axis]))
        return np.zeros(0, np.int32) if same else found

    return table(-2) if len(shape) > 2 else np.zeros(0, np.int32), table(-1)


def back_through(shape: tuple[int, ...], function: Function) -> Callable[[Index], Index | None]:
    """`Move.back` of a function on a tensor of `shape` that moves its elements and may add zeros."""

    def back(index: Index) -> Index | None:
        # From 1, for what is added is zero.
        numbers = torch.arange(1, 1 + prod(shape), dtype=torch.float64).reshape(shape)
        source = _result(function, numbers).astype(np.int64) - 1
        used = (source >= 0) & (index != -1)
        whole = np.full(prod(shape), -1, np.int64)
        np.maximum.at(whole, source[used], index[used])
        mixed = whole[source[used]] != index[used]
        return None if mixed.any() else whole.reshape(shape)

    return back


def _result(function: Function, argument: torch.Tensor) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        return np.asarray(function(argument).numpy())
