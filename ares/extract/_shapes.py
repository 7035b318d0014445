"""Moves that only change the shape; the result's shape is what the traced forward produced."""

from __future__ import annotations

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._values import Value
from ares.ops import KernelOperation


def shape_move(call: Call, operation: type[KernelOperation]) -> Value:
    """Add `operation` (field `shape`) unless the shape stays as it is."""
    shape = call.out_shape
    if shape[:1] != (1,):
        reject(
            f"it gives shape {list(shape)}: the batch must stay the first dimension",
            "keep x.size(0)",
        )

    before = call.shape_of(0, "input")

    def emit(tensor: str) -> str:
        source = call.builder.tensors[tensor]
        if source.shape == shape:
            return tensor
        return call.add(operation, (tensor,), source, shape=shape)

    return call.move(emit, lambda index: index.reshape(before))
