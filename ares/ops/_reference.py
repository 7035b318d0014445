"""The integer reference: the second witness, in numpy and in PyTorch's logical order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ares.ir import Graph, GraphError
from ares.ops._operation import Array, KernelOperation, Site


def run_reference(graph: Graph, inputs: Sequence[Array]) -> Mapping[str, Array]:
    """Every tensor of the Graph for these inputs, in the tensors' own element types.

    Raises GraphError when an input has another shape or type, or a result leaves its tensor's code range.
    """
    if len(inputs) != len(graph.inputs):
        raise GraphError(f"{graph.name}: {len(inputs)} inputs given, it has {len(graph.inputs)}")
    arrays: dict[str, Array] = {}
    for name, array in zip(graph.inputs, inputs, strict=True):
        tensor = graph.tensor(name)
        if array.shape != tensor.shape or array.dtype != tensor.dtype.numpy:
            raise GraphError(
                f"{graph.name}: input {name!r} is {array.dtype.name}{list(array.shape)}, "
                f"expected {tensor.dtype.numpy.name}{list(tensor.shape)}"
            )
        arrays[name] = array
    for operation in graph.operations:
        assert isinstance(operation, KernelOperation)
        site = Site(graph.tensors_of(operation.inputs), graph.tensors_of(operation.outputs))
        operands = [_operand(arrays[name]) for name in operation.inputs]
        for tensor, result in zip(site.outputs, operation.reference(site, operands), strict=True):
            if tensor.dtype.is_integer and not (
                tensor.lo <= int(result.min()) and int(result.max()) <= tensor.hi
            ):
                raise GraphError(
                    f"{graph.name}: {operation.name}: codes {result.min()}..{result.max()} leave "
                    f"{tensor.lo}..{tensor.hi}"
                )
            arrays[tensor.name] = np.ascontiguousarray(result.astype(tensor.dtype.numpy))
    return arrays


def _operand(array: Array) -> Array:
    return array if array.dtype.kind == "f" else array.astype(np.int64)
