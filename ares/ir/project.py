"""Records of the generated C and of what came out when it ran: Project, TracePoint, Recipe, Binary, Trace."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir.graph import DType


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the generated network, in PyTorch's order of elements."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.size

    def to_bytes(self, array: npt.NDArray[Any]) -> bytes:
        """The bytes of this port in a file of inputs or outputs, little-endian."""
        return _to_little(np.asarray(array).reshape(self.shape), self.dtype)

    def from_bytes(self, data: bytes) -> npt.NDArray[Any]:
        """The array whose little-endian bytes these are."""
        return _from_little(data, self.dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class TracePoint:
    """One tensor that a run shows: which layer made it, and how it lies in memory.

    `shape` is the logical shape, `layout` the order of its axes in memory.
    """

    layer_index: int
    layer: str
    op_type: str
    tensor: str
    dtype: DType
    shape: tuple[int, ...]
    layout: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.size

    def to_memory(self, logical: npt.NDArray[Any]) -> bytes:
        """The bytes that a run should show for this tensor, little-endian."""
        array = np.asarray(logical).reshape(self.shape)
        return _to_little(array.transpose(self.layout), self.dtype)

    def to_logical(self, data: bytes) -> npt.NDArray[Any]:
        """The tensor in PyTorch's order, from little-endian bytes of memory."""
        shape = [self.shape[axis] for axis in self.layout]
        array = _from_little(data, self.dtype).reshape(shape)
        return np.ascontiguousarray(array.transpose(np.argsort(self.layout)))


@dataclass(frozen=True, slots=True)
class FoldedLayer:
    """A layer whose work others do, the layers `into`: no run shows its tensor, a fault of it shows in theirs."""

    layer: str
    into: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.layer} folded into {' and '.join(self.into)}"


def _to_little(array: npt.NDArray[Any], dtype: DType) -> bytes:
    return array.astype(dtype.numpy.newbyteorder("<")).tobytes()


def _from_little(data: bytes, dtype: DType) -> npt.NDArray[Any]:
    return np.frombuffer(data, dtype.numpy.newbyteorder("<")).astype(dtype.numpy)


@dataclass(frozen=True, slots=True)
class Project:
    """A C project that stands alone: relative path -> content.

    `sources` are the network's own C files (the runtime's are under `runtime/` in `files`); `main` is the
    tracing program's C file. `points` are all observed tensors in the order in which a run shows them, `folded` the
    layers that make none. `digest` is the content's.
    """

    name: str
    files: Mapping[str, bytes]
    sources: tuple[str, ...]
    main: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    points: tuple[TracePoint, ...]
    folded: tuple[FoldedLayer, ...] = ()
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", content_digest(self.files))


def content_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over all paths and contents: the same files, the same digest."""
    state = hashlib.sha256()
    for path in sorted(files):
        content = files[path]
        state.update(f"{len(path)} {path} {len(content)}\n".encode())
        state.update(content)
    return state.hexdigest()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a project is built for a target: in a folder with `files`, `commands` in their order make the program.

    `target` is the target's name, `compiler` what the compiler says of itself. `files` are the project's and, where
    there is no operating system, the board's. The commands of `library` make of the files below `runtime/` a library
    that all programs with the same `library_key` share; `program` makes the rest. `signature` is what the program must
    print first. `whole`: False where the commands are only those that failed.
    """

    target: str
    compiler: str
    files: Mapping[str, bytes]
    library: tuple[tuple[str, ...], ...]
    library_key: str
    program: tuple[str, ...]
    signature: str
    whole: bool = True

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        return (*self.library, self.program)


@dataclass(frozen=True, slots=True)
class Binary:
    """A program that was built, and how."""

    path: Path
    recipe: Recipe


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What one run showed for one case, in PyTorch's order of elements.

    `tensors` and `digests` are by name, `outputs` and `output_digests` one per output of the network; which are filled
    depends on the mode of the run. `stack` is the most bytes of stack that the program used until its end, where it is
    measured (boards).
    """

    tensors: Mapping[str, npt.NDArray[Any]]
    digests: Mapping[str, str]
    outputs: tuple[npt.NDArray[Any], ...]
    output_digests: tuple[str, ...] = ()
    stack: int | None = None


DIGEST_FACTOR = 6364136223846793005


def trace_digest(data: bytes) -> str:
    """The digest that a run prints for a tensor: 16 hexadecimal digits of its little-endian bytes.

    h = h * DIGEST_FACTOR + byte + 1 modulo 2**64, from h = 0: a Horner scheme, so that a small target needs one
    multiplication a byte and the host can do all bytes at once. The factor is odd: no single change is lost.
    """
    values = np.frombuffer(data, np.uint8).astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):
        factors = np.full(values.size, DIGEST_FACTOR, np.uint64)
        factors[:1] = 1
        powers = np.cumprod(factors, dtype=np.uint64)[::-1]
        return f"{int((values * powers).sum(dtype=np.uint64)):016x}"
