"""Graph, Tensor and the base class of every operation.

Shapes are PyTorch's logical shapes with a batch of one (N C H W, N T D, N F). An integer tensor holds
*codes*: real value = (code - zero_point) * scale. A tensor of binary32 has no scale.

Raises `GraphError` where a Graph contradicts itself; the message names the operation.
"""

from __future__ import annotations

import enum
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ares.ir.names import is_carried, path_of


class GraphError(ValueError):
    """A Graph that contradicts itself: unknown tensor, wrong shape, wrong element type."""


class DType(enum.Enum):
    """Element types, named alike in C, Python and docs."""

    S8 = "s8"
    U8 = "u8"
    S16 = "s16"
    S32 = "s32"
    F32 = "f32"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        return np.dtype(_NUMPY[self.value])

    @property
    def size(self) -> int:
        """Bytes per element."""
        return self.numpy.itemsize

    @property
    def is_integer(self) -> bool:
        return self is not DType.F32

    @property
    def lo(self) -> int:
        return int(np.iinfo(self.numpy.name).min)

    @property
    def hi(self) -> int:
        return int(np.iinfo(self.numpy.name).max)


_NUMPY = {"s8": np.int8, "u8": np.uint8, "s16": np.int16, "s32": np.int32, "f32": np.float32}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One edge of the Graph.

    `lo`/`hi` are the bounds of the quantiser's codes (narrower than the type for fewer than 8 bits).
    `origins` are the events of the torch model at which the witness can judge this tensor:
    `quantizer:<proxy path>#<call>` (the value handed to that quantiser, before rounding),
    `node:<capture key>` (the exact value that left that module or function),
    `scales:<proxy path>#<call>@<axis>` (the same for moved codes that have a scale for each channel: theirs is 1), and
    `axes <order>:<event>` (at that event the model has the axes in that order; without 0 the batch is one with axis 1).
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    scale: float | None = None
    zero_point: int = 0
    lo: int = 0
    hi: int = 0
    origins: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.size

    @property
    def largest_magnitude(self) -> int:
        """Largest |code - zero_point| that the quantiser can produce."""
        return max(abs(self.lo - self.zero_point), abs(self.hi - self.zero_point))


CODES = (DType.S8, DType.U8)
OutputRule = tuple[tuple[int, ...], tuple[DType, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Operation(ABC):
    """Base of the operations in `ares.ops`: one subclass per operation, one record per layer.

    A subclass states its facts as class variables and implements the methods of
    `ares.ops.KernelOperation`; the Graph itself only needs names and edges.
    """

    OP_TYPE: ClassVar[str]
    LAYER_TYPE: ClassVar[str]
    EPS: ClassVar[float]

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @classmethod
    def stem(cls) -> str:
        """The name of the operation's files: `conv2d`."""
        return cls.__module__.rpartition(".")[2]

    @property
    def path(self) -> str:
        """The path, as the user has it, of the module that the layer comes from: no number of the call, no escapes."""
        return path_of(self.name)

    def tolerance(self, tensor: Tensor) -> float:
        """EPS for this record, whose output is `tensor`."""
        del tensor
        return self.EPS

    @abstractmethod
    def at_zero(
        self, inputs: Sequence[Tensor], output: Tensor, given: Sequence[npt.NDArray[Any] | None]
    ) -> npt.NDArray[Any]:
        """What it gives for inputs whose codes all mean zero; `given` holds those of binary32, None for others."""

    def unit(self, output: Tensor) -> npt.NDArray[Any]:
        """Of a binary32 output, what one more in the exact sum behind each element is worth; 0 without such a sum."""
        return np.zeros(output.shape)

    @abstractmethod
    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        """Shape and allowed types of every output; raises GraphError when the inputs do not fit."""


@dataclass(frozen=True, slots=True)
class Composite:
    """One layer that is made of several operations, its `members`, which follow one another in the Graph.

    To the user, and in the C's table, it is a single layer of type `op_type`; its members are its stages.
    """

    name: str
    op_type: str
    layer_type: str
    members: tuple[str, ...]


class _ByName:
    """Room for the table that `Graph.tensor` looks names up in: no part of the record, made when first asked for."""

    __slots__ = ("_by_name",)
    _by_name: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Graph(_ByName):
    """A network as integers: what the trained Brevitas model means.

    `operations` are in execution order; every tensor is produced once. No two composites share a member.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    composites: tuple[Composite, ...] = ()

    def tensor(self, name: str) -> Tensor:
        try:
            table = self._by_name
        except AttributeError:
            table = {tensor.name: tensor for tensor in reversed(self.tensors)}
            object.__setattr__(self, "_by_name", table)
        if name not in table:
            raise GraphError(f"{self.name}: no tensor named {name!r}")
        return table[name]

    def tensors_of(self, names: Sequence[str]) -> tuple[Tensor, ...]:
        return tuple(self.tensor(name) for name in names)

    def produced(self) -> Iterator[tuple[Operation, Tensor]]:
        """Every operation's outputs in execution order: the layers that golden and trace hold."""
        for operation in self.operations:
            for name in operation.outputs:
                yield operation, self.tensor(name)

    def validate(self) -> Graph:
        """Check names, order, shapes and types; return self."""
        names = [tensor.name for tensor in self.tensors]
        if len(set(names)) != len(names):
            raise GraphError(f"{self.name}: two tensors share a name")
        layers = [operation.name for operation in self.operations]
        for kind, found in (("tensor", names), ("layer", layers)):
            strange = [name for name in found if not is_carried(name)]
            if strange:
                raise GraphError(
                    f"{self.name}: {strange[0][:60]!r} is no name of a {kind}, expected one printable word"
                )
        twice = [name for name, count in Counter(layers).items() if count > 1]
        if twice:
            raise GraphError(f"{self.name}: two layers are called {twice[0]!r}")
        for tensor in self.tensors:
            _validate_tensor(self.name, tensor)
        known = set(self.inputs)
        for operation in self.operations:
            where = f"{self.name}: {operation.name} ({operation.OP_TYPE})"
            missing = [name for name in operation.inputs if name not in known]
            if missing:
                raise GraphError(f"{where}: input {missing[0]!r} is not computed before it is used")
            rebound = [name for name in operation.outputs if name in known]
            if rebound:
                raise GraphError(f"{where}: tensor {rebound[0]!r} is computed twice")
            expected = operation.infer(self.tensors_of(operation.inputs))
            if len(expected) != len(operation.outputs):
                raise GraphError(
                    f"{where}: names {len(operation.outputs)} outputs, has {len(expected)}"
                )
            for (shape, dtypes), tensor in zip(
                expected, self.tensors_of(operation.outputs), strict=True
            ):
                if shape != tensor.shape or tensor.dtype not in dtypes:
                    allowed = " or ".join(dtype.value for dtype in dtypes)
                    raise GraphError(
                        f"{where}: output {tensor.name!r} is {tensor.dtype.value}{list(tensor.shape)}"
                        f", expected {allowed}{list(shape)}"
                    )
            known.update(operation.outputs)
        lost = [name for name in self.outputs if name not in known]
        if lost or not self.outputs:
            raise GraphError(f"{self.name}: output {lost[0] if lost else '(none)'} is not computed")
        unused = set(names) - known
        if unused:
            raise GraphError(f"{self.name}: tensor {min(unused)!r} is computed by no operation")
        self._validate_composites()
        return self

    def _validate_composites(self) -> None:
        order = [operation.name for operation in self.operations]
        taken: set[str] = set()
        for composite in self.composites:
            where = f"{self.name}: {composite.name} ({composite.op_type})"
            members = composite.members
            if not re.fullmatch(r"OP_[A-Z0-9_]+", composite.op_type):
                raise GraphError(f"{where}: its type is no OpType")
            if not members or taken.intersection(members) or members[0] not in order:
                raise GraphError(f"{where}: has no operations of its own")
            first = order.index(members[0])
            if tuple(order[first : first + len(members)]) != members:
                raise GraphError(f"{where}: its operations do not follow one another")
            taken.update(members)


def _validate_tensor(graph: str, tensor: Tensor) -> None:
    where = f"{graph}: tensor {tensor.name!r}"
    if not tensor.shape or min(tensor.shape) < 1:
        raise GraphError(f"{where}: shape {list(tensor.shape)} has no elements")
    if tensor.dtype.is_integer:
        if tensor.scale is None or not np.isfinite(tensor.scale) or tensor.scale <= 0.0:
            raise GraphError(f"{where}: scale {tensor.scale} is not a positive number")
        if not tensor.dtype.lo <= tensor.lo <= tensor.zero_point <= tensor.hi <= tensor.dtype.hi:
            raise GraphError(
                f"{where}: codes {tensor.lo}..{tensor.hi} with zero point {tensor.zero_point} "
                f"do not fit {tensor.dtype.value}"
            )
    elif tensor.scale is not None:
        raise GraphError(f"{where}: a binary32 tensor has no scale")


def frozen_array(values: npt.ArrayLike, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A read-only, C-contiguous copy: what the fields of operations hold.

    Raises GraphError when a value does not survive the conversion to `dtype`.
    """
    source = np.asarray(values)
    array = np.array(source, dtype=dtype, order="C", copy=True)
    if array.dtype.kind in "iu" and not np.array_equal(array, source):
        raise GraphError(f"constant values do not fit {array.dtype.name}")
    array.flags.writeable = False
    return array
