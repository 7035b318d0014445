"""A network as models of one layer each, fed with golden codes: nothing travels, and no probe changes a fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ares.interchange import OnnxModel, UnsaidError, write_onnx
from ares.ir import Graph, Operation, Tensor
from ares.witness_onnx import evaluate

Array = npt.NDArray[Any]
Case = Mapping[str, Array]
"""Inputs and every tensor of a golden case, by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One operation as a Graph of its own, and its file; None and why where the format has no words for it."""

    operation: Operation
    graph: Graph
    output: Tensor
    model: OnnxModel | None
    words: str = ""


class Parts:
    """A network with its golden cases, and every layer of it that computes: a constant has nothing to compare."""

    def __init__(self, graph: Graph, cases: Sequence[Case]) -> None:
        self.graph = graph
        self.cases = cases
        self.layers = [_layer(graph, each) for each in graph.operations if each.inputs]
        self._before: dict[str, Sequence[Array] | None] = {}

    def typed(self, graph: Graph) -> list[dict[str, Array]]:
        """The inputs of a Graph, a layer's or the whole one, in each case, in their own types."""
        types = {name: graph.tensor(name).dtype.numpy for name in graph.inputs}
        return [
            {name: case[name].astype(kind) for name, kind in types.items()} for case in self.cases
        ]

    def before(self, layer: Layer) -> Sequence[Array] | None:
        """The real values behind a layer's codes in each case, by the meaning of its file; None where it has none."""
        name = layer.output.name
        if layer.model is None or layer.output.scale is None:
            return None
        if name not in self._before:
            meant = [
                evaluate(layer.model.data, each, {}).before for each in self.typed(layer.graph)
            ]
            known = all(name in values for values in meant)
            self._before[name] = [values[name] for values in meant] if known else None
        return self._before[name]


def _layer(graph: Graph, operation: Operation) -> Layer:
    inputs = tuple(dict.fromkeys(operation.inputs))
    tensors = graph.tensors_of((*inputs, *operation.outputs))
    alone = Graph(operation.name, tensors, (operation,), inputs, operation.outputs)
    (output,) = graph.tensors_of(operation.outputs)
    try:
        return Layer(operation, alone, output, write_onnx(alone))
    except UnsaidError as error:
        return Layer(operation, alone, output, None, str(error))
