"""The Graph under construction: unique names, tensors, operations, checks at the layer that causes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ares.extract._composites import gather
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.ir import DType, Graph, GraphError, Tensor
from ares.ir.names import ROOT, one_line
from ares.numerics import INT32_MAX
from ares.ops import CompositeKind, KernelOperation, Site


class Builder:
    """Collects operations in execution order."""

    def __init__(
        self, name: str, composite_roots: Mapping[str, CompositeKind] | None = None
    ) -> None:
        """`composite_roots`: paths of the modules that are one layer with all that is inside them."""
        self.name = one_line(name)
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[KernelOperation] = []
        self.inputs: list[str] = []
        self.composite_roots = dict(composite_roots or {})

    def add_input(self, name: str, shape: Sequence[int], dtype: DType = DType.F32) -> str:
        """An input of the network: binary32, or integers that mean themselves."""
        if dtype is DType.F32:
            self.tensors[name] = Tensor(name, tuple(shape), dtype)
        else:
            self.tensors[name] = Tensor(name, tuple(shape), dtype, 1.0, 0, dtype.lo, dtype.hi)
        self.inputs.append(name)
        return name

    def unique(self, wanted: str) -> str:
        """`wanted`, or `wanted#k` for its k-th repetition."""
        wanted = wanted or ROOT
        name, count = wanted, 0
        while name in self.tensors:
            count += 1
            name = f"{wanted}#{count}"
        return name

    def add(
        self,
        operation: type[KernelOperation],
        name: str,
        inputs: Sequence[str],
        like: Quantizer | Tensor | None,
        **parameters: Any,
    ) -> str:
        """Add an operation with one output; return the output's name, which is also the layer's.

        `like` gives the output's type, scale and zero point (None: binary32). Raises Unmappable where shapes do
        not fit or the accumulator could overflow.
        """
        name = self.unique(name)
        record = operation(name=name, inputs=tuple(inputs), outputs=(name,), **parameters)
        sources = tuple(self.tensors[source] for source in inputs)
        try:
            ((shape, _),) = record.infer(sources)
        except GraphError as error:
            advice = "change the shapes around it"
            if any(source.dtype is DType.S32 for source in sources):
                advice = (
                    "give a float32 input, or token ids that are no more than moved (slices, reshape, flip, cat) on "
                    "their way to an Embedding"
                )
            reject(
                str(error).removeprefix(f"{name}: "),
                f"{advice}; docs/supported_operations.md says what can be mapped",
            )
        self.tensors[name] = _output(name, shape, like)
        bound = record.accumulator_bound(Site(sources, (self.tensors[name],)))
        check_accumulator(bound)
        if like is None:
            _check_real(record, bound)
        self.operations.append(record)
        return name

    def add_origin(self, tensor: str, origin: str) -> None:
        """Note an event of the torch model at which this tensor can be judged."""
        known = self.tensors[tensor]
        if origin not in known.origins:
            self.tensors[tensor] = replace(known, origins=(*known.origins, origin))

    def graph(self, outputs: Sequence[str]) -> Graph:
        """The finished Graph: operations that nothing needs are left out."""
        needed = set(outputs)
        kept: list[KernelOperation] = []
        for operation in reversed(self.operations):
            if needed.intersection(operation.outputs):
                kept.append(operation)
                needed.update(operation.inputs)
        needed.update(self.inputs)
        composites, operations = gather(kept[::-1], self.composite_roots)
        return Graph(
            name=self.name,
            tensors=tuple(tensor for name, tensor in self.tensors.items() if name in needed),
            operations=operations,
            inputs=tuple(self.inputs),
            outputs=tuple(outputs),
            composites=composites,
        ).validate()


def check_accumulator(bound: int) -> None:
    """Refuse a sum that could leave int32."""
    if bound > INT32_MAX:
        reject(
            f"its accumulator could reach {bound}, int32 ends at {INT32_MAX}",
            "use fewer input channels or narrower weights",
        )


def _check_real(record: KernelOperation, bound: int) -> None:
    """Refuse a binary32 result that could leave binary32, from accumulators up to `bound`."""
    scale, bias = (
        np.abs(np.asarray(getattr(record, field, ()), np.float64)) for field in ("scale", "bias")
    )
    if not scale.size:
        return  # it moves results
    largest = float((bound * scale + (bias if bias.size else 0.0)).max())
    if not largest <= float(np.finfo(np.float32).max):
        reject(
            f"its results could reach {largest:.3g}, binary32 ends at {np.finfo(np.float32).max:.3g}",
            "multiply and add smaller numbers behind it, or none",
        )


def _output(name: str, shape: tuple[int, ...], like: Quantizer | Tensor | None) -> Tensor:
    if like is None:
        return Tensor(name, shape, DType.F32)
    if isinstance(like, Quantizer):
        return like.tensor(name, shape)
    return replace(like, name=name, shape=shape, origins=())
