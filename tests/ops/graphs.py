"""Graphs of several operations, for `harness.check_graph`."""

from __future__ import annotations

from collections.abc import Sequence

from ares.ir import Graph, Tensor
from ares.ops import KernelOperation
from tests.ops.harness import check_graph

__all__ = ["check_graph", "graph_of"]


def graph_of(
    operations: Sequence[KernelOperation],
    tensors: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> Graph:
    """A validated Graph."""
    return Graph("net", tuple(tensors), tuple(operations), tuple(inputs), tuple(outputs)).validate()
