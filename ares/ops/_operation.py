"""What every operation provides, and the records with which it describes its kernel call.

Reference arrays are int64 (float32 for real tensors) in PyTorch's logical order. A `Layout` is the order of
logical axes in C memory: `(0, 2, 3, 1)` is channels last for N C H W.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ares.ir import DType, GraphError, Operation, Tensor
from ares.numerics import INT32_MAX, NumericsError, Rescale, StepIndex, index_steps
from ares.numerics.rescale import MAX_SHIFT

Array = npt.NDArray[Any]
Layout = tuple[int, ...]
_OFFSET_LIMIT = 2**63


def row_major(rank: int) -> Layout:
    """PyTorch's own order."""
    return tuple(range(rank))


def channels_last(rank: int) -> Layout:
    """Axis 1 innermost: N H W C for rank 4, N T C for rank 3."""
    return (0, *range(2, rank), 1) if rank > 2 else row_major(rank)


@dataclass(frozen=True, slots=True)
class Site:
    """The tensors around one layer; layouts are filled in by the planner."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    input_layouts: tuple[Layout, ...] = ()
    output_layouts: tuple[Layout, ...] = ()

    def input_memory_shape(self, index: int = 0) -> tuple[int, ...]:
        """Sizes of an input's axes from outermost to innermost in memory."""
        return tuple(self.inputs[index].shape[axis] for axis in self.input_layouts[index])


@dataclass(frozen=True, slots=True)
class Struct:
    """An initialiser of a C struct: field names and values in order.

    Values: int, bool (0/1), np.float32 (written as a hexadecimal literal), an array (becomes a static const array,
    NULL when empty), a nested Struct, or a tuple of Structs (a static const array of structs).
    """

    type: str
    fields: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One call of one C function.

    `header` is the file in runtime/inc that declares it. `in_place` lists the inputs whose memory the single
    output may reuse. `scratch` is in bytes.
    """

    function: str
    header: str
    params: Struct
    scratch: int = 0
    in_place: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Alias:
    """No call: the output is the first input's memory read with another shape."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """No call: the output is this constant array, in the output's own layout."""

    array: Array


@dataclass(frozen=True, slots=True, eq=False)
class KernelOperation(Operation):
    """Base of all operations; the class docstring is the operation's row in the documentation.

    PYTHON_CLASS: what users write. EPS: largest |code - clamp(r)| - 0.5 that the witness accepts, in output
    codes, derived in the module's docstring (for binary32 outputs: largest |y - r| relative to |r| + |addend|).
    KERNEL: stem of the C file in runtime/ ("" when the operation never runs code of its own).
    """

    PYTHON_CLASS: ClassVar[str]
    KERNEL: ClassVar[str]

    @abstractmethod
    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        """The integers that this layer means: outputs from inputs."""

    @abstractmethod
    def lower(self, site: Site) -> KernelCall | Alias | Data:
        """The kernel call for planned layouts."""

    def other_calls(self, site: Site) -> Sequence[KernelCall]:
        """Calls of the same integers by another way through the kernels: to be compared with, never shipped."""
        del site
        return ()

    def accumulator_bound(self, site: Site) -> int:
        """Largest |accumulator| that any input can produce, from the actual weights (0: no accumulator)."""
        del site
        return 0

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        """Layouts that the kernel wants for its inputs, and those of its outputs, when `given` is there.

        Default: rank 4 channels last, everything else in PyTorch's order.
        """
        del given
        return (
            tuple(default_layout(tensor) for tensor in site.inputs),
            tuple(default_layout(tensor) for tensor in site.outputs),
        )

    def at_zero(
        self, inputs: Sequence[Tensor], output: Tensor, given: Sequence[Array | None]
    ) -> Array:
        arrays = [
            np.full(source.shape, source.zero_point, np.int64) if array is None else array
            for source, array in zip(inputs, given, strict=True)
        ]
        return self.reference(Site(tuple(inputs), (output,)), arrays)[0]

    def macs(self, site: Site) -> int:
        """Multiply-accumulates of one inference (0 where there are none)."""
        del site
        return 0


def default_layout(tensor: Tensor) -> Layout:
    rank = len(tensor.shape)
    return channels_last(rank) if rank == 4 else row_major(rank)


def keep_layout(
    site: Site, given: tuple[Layout, ...]
) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
    """`layouts` of an elementwise operation: everything as the first input lies."""
    return (given[0],) * len(site.inputs), (given[0],) * len(site.outputs)


def require(condition: bool, message: str) -> None:
    """Raise GraphError(message) unless `condition`."""
    if not condition:
        raise GraphError(message)


def require_codes(tensor: Tensor) -> None:
    """Raise GraphError unless `tensor` holds 8-bit codes."""
    require(
        tensor.dtype in (DType.S8, DType.U8),
        f"tensor {tensor.name!r} is {tensor.dtype.value}, expected s8 or u8 codes",
    )


def rescale_struct(rescale: Rescale, excess: Array | None = None) -> Struct:
    """The initialiser of `ares_rescale` (runtime/inc/numerics.h), half of each divisor in its offset.

    `excess` int64 [channels]: what the kernel's sums have more than the accumulators (`raw_excess`); the offsets take
    it back, exactly. Raises GraphError where one leaves int64.
    """
    if excess is None or not excess.any():
        excess = np.zeros(1, np.int64)
    constants = (rescale.multiplier, rescale.offset, rescale.shift, excess)
    shapes = [list(array.shape) for array in constants]
    several = {tuple(shape) for shape in shapes} - {(1,)}
    require(
        len(several) <= 1 and all(len(shape) == 1 and shape[0] > 0 for shape in several),
        f"multipliers {shapes[0]}, offsets {shapes[1]} and shifts {shapes[2]} for channels {shapes[3]}: "
        "expected one or one each",
    )
    require(
        int(rescale.shift.min()) >= 1 and int(rescale.shift.max()) <= MAX_SHIFT,
        f"shifts {rescale.shift.min()} to {rescale.shift.max()}, expected 1 to {MAX_SHIFT}",
    )
    multiplier, offset, shift, more = np.broadcast_arrays(*constants)
    # In Python's integers: what does not fit must not wrap.
    offsets = [
        b + (1 << (s - 1)) - m * e
        for m, b, s, e in zip(
            multiplier.tolist(), offset.tolist(), shift.tolist(), more.tolist(), strict=True
        )
    ]
    require(
        max(map(abs, offsets)) < _OFFSET_LIMIT,
        "an offset leaves 64 bits; use fewer input channels or a zero point of 0",
    )
    tables = _step_tables(rescale)
    is_shared = len(tables) > 0 and not rescale.has_own_steps
    return Struct(
        "ares_rescale",
        (
            ("multiplier", multiplier),
            ("offset", np.array(offsets, np.int64)),
            ("shift", shift),
            ("steps", tuple(map(_steps_struct, tables))),
            ("channel_stride", int(len(offsets) > 1)),
            ("step_stride", int(rescale.has_own_steps)),
            ("num_thresholds", int(rescale.thresholds.shape[-1])),
            ("lo", tables[0].below if is_shared else rescale.lo),
            ("hi", tables[0].last if is_shared else rescale.hi),
        ),
    )


def _step_tables(rescale: Rescale) -> tuple[StepIndex, ...]:
    """One, or one a channel; none without a function."""
    if not rescale.thresholds.size:
        return ()
    rows = zip(np.atleast_2d(rescale.thresholds), np.atleast_2d(rescale.codes), strict=True)
    try:
        return tuple(index_steps(*row, is_shared=not rescale.has_own_steps) for row in rows)
    except NumericsError as error:
        raise GraphError(str(error)) from error  # of a Graph from a file: no plan makes such steps


def _steps_struct(index: StepIndex) -> Struct:
    """The initialiser of `ares_steps`."""
    return Struct(
        "ares_steps",
        (
            ("thresholds", index.thresholds),
            ("codes", index.codes),
            ("starts", index.starts),
            ("below", index.below),
            ("last", index.last),
            ("bits", index.bits),
            ("half", index.half),
        ),
    )


def raw_excess(weight: Array, source: Tensor, times: int = 1) -> Array:
    """What sums of raw codes times weights have more than accumulators (N2): z * sum of w, int64 a channel.

    Channels are axis 0 of `weight`; a sum goes over the weights so many `times`. Raises GraphError where a sum of raw
    codes may leave int32.
    """
    rows = weight.astype(np.int64).reshape(weight.shape[0], -1)
    largest = max(abs(source.lo), abs(source.hi), abs(source.zero_point))
    bound = times * largest * int(np.abs(rows).sum(axis=1).max())
    require(
        bound <= INT32_MAX,
        f"a sum of codes of {source.name!r} could reach {bound}, int32 ends at {INT32_MAX}; use fewer input "
        "channels or narrower weights",
    )
    excess: Array = times * source.zero_point * rows.sum(axis=1)
    return excess


def weight_bound(weight: Array, source: Tensor) -> int:
    """Largest |sum of (x - zero_point) * w| over one output channel (axis 0 of `weight`)."""
    sums = np.abs(weight.astype(np.int64)).reshape(weight.shape[0], -1).sum(axis=1)
    return int(sums.max()) * source.largest_magnitude
