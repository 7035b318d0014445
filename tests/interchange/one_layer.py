"""Each operation of the stored suites as a Graph of its own, with the codes that go in and those that are expected."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.golden.operations import load_operation_suite, operation_suites
from ares.interchange import UnsaidError, write_onnx
from ares.ir import Graph, Operation, Tensor
from ares.ops import operations

Array = npt.NDArray[Any]
GOLDEN = Path(__file__).resolve().parents[2] / "golden"
SUITES = operation_suites(GOLDEN)
# What constants in binary32 and a runtime's arithmetic in binary32 may cost a code.
BINARY32 = 2.0**-10


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """`graph`: one operation, whose inputs are codes or reals; `arrays`: these and its outputs."""

    operation: Any
    graph: Graph
    arrays: Mapping[str, Array]

    @property
    def inputs(self) -> Mapping[str, Array]:
        return {name: self.arrays[name] for name in self.graph.inputs}

    @property
    def output(self) -> Tensor:
        (output,) = self.graph.tensors_of(self.operation.outputs)
        return output

    @property
    def sources(self) -> tuple[Tensor, ...]:
        return tuple(self.graph.tensors_of(self.operation.inputs))

    @property
    def expected(self) -> Array:
        return self.arrays[self.output.name]


def alone(operation: Operation, tensors: Mapping[str, Tensor], name: str = "layer") -> Graph:
    """A Graph of that operation and nothing else."""
    inputs = tuple(dict.fromkeys(operation.inputs))
    kept = tuple(tensors[each] for each in dict.fromkeys((*inputs, *operation.outputs)))
    return Graph(name, kept, (operation,), inputs, operation.outputs)


@cache
def layers() -> Mapping[str, tuple[Layer, ...]]:
    """Stem of an operation -> its layers in all suites."""
    found: dict[str, list[Layer]] = defaultdict(list)
    for name in SUITES:
        suite = load_operation_suite(GOLDEN / name)
        (case,) = suite.golden.cases
        arrays = {**case.arrays, **dict(zip(suite.graph.inputs, case.inputs, strict=True))}
        tensors = {tensor.name: tensor for tensor in suite.graph.tensors}
        for operation in suite.graph.operations:
            graph = alone(operation, tensors)
            own = {tensor.name: arrays[tensor.name] for tensor in graph.tensors}
            found[operation.stem()].append(Layer(operation, graph, own))
    return {stem: tuple(found[stem]) for stem in operations() if stem in found}


@cache
def written(stem: str) -> tuple[tuple[tuple[Layer, bytes], ...], tuple[tuple[str, str], ...]]:
    """The layers that can be said, each with its file; and the names of the others, with what is said."""
    files, refusals = [], []
    for layer in layers()[stem]:
        try:
            files.append((layer, write_onnx(layer.graph).data))
        except UnsaidError as error:
            refusals.append((layer.operation.name, str(error)))
    return tuple(files), tuple(refusals)


def limits(layer: Layer) -> tuple[int, int]:
    """The smallest and the largest code of a layer: a ReLU may be part of it."""
    own = layer.operation
    rescale = getattr(own, "rescale", None) or getattr(own, "rescales", [layer.output])[0]
    return rescale.lo, rescale.hi


def tolerance(layer: Layer) -> float:
    """Codes beyond half a code: what the operation itself is allowed, and binary32."""
    return float(layer.operation.tolerance(layer.output)) + BINARY32


def excess(layer: Layer, real: Array) -> Array:
    """Of binary32 outputs: how far each is from `real`, in units of what is allowed."""
    given = [None if each.scale is not None else layer.arrays[each.name] for each in layer.sources]
    addend = np.abs(layer.operation.at_zero(layer.sources, layer.output, given))
    size = np.abs(real) + addend + layer.operation.unit(layer.output)
    allowed = (layer.operation.EPS + 2.0**-22) * size
    off = np.abs(layer.expected.astype(np.float64) - real)
    return np.where(off == 0, 0.0, off / np.where(allowed > 0, allowed, 1.0))
