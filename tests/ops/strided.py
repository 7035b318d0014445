"""Oracle -> reference -> C of Slice and Flip in every memory order of a tensor of rank 4."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from ares.ops import KernelOperation
from tests.ops.graphs import check_graph, graph_of
from tests.ops.layouts import Laid, laid, like

SHAPE = (1, 3, 5, 4)
Picked = tuple[KernelOperation, int, Sequence[int]]  # operation on x, axis, positions along it


def check_positions(picks: Callable[[str], Sequence[Picked]], kind: str) -> None:
    """`picks(input)` gives operations with output `y<number>`; each must give those positions of the axis."""
    for order in itertools.permutations((1, 2, 3)):
        source: Laid = laid("x", SHAPE, (0, *order), kind)
        operations, tensors, expected = [source.operation], [source.source, source.tensor], {}
        for operation, axis, positions in picks("x"):
            size = [*SHAPE]
            size[axis] = len(positions)
            answer = np.zeros(size, source.logical.dtype)
            for index in itertools.product(*(range(n) for n in size)):
                at = list(index)
                at[axis] = positions[index[axis]]
                answer[index] = source.logical[tuple(at)]
            name = operation.outputs[0]
            operations.append(operation)
            tensors.append(like(source.tensor, name, tuple(size)))
            expected[name] = answer
        graph = graph_of(operations, tensors, [source.source.name], list(expected))
        check_graph(graph, {source.source.name: source.array}, expected)
