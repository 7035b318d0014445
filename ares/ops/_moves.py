"""Elements that only change place: layout arithmetic for Flatten, Reshape, Squeeze and Permute.

A move costs nothing (`Alias`) when the result can be read from the same memory in some layout; otherwise
it is one strided copy (`ares_permute`). Axes of one element take no room and never force a copy. eps: 0,
codes and binary32 elements pass unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from ares.ir import OutputRule, Tensor, frozen_array
from ares.ops._operation import (
    Alias,
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    default_layout,
    require,
    row_major,
)

MAX_RANK = 30  # ARES_PERMUTE_MAX_RANK in runtime/inc/permute.h
Shape = tuple[int, ...]
Strides = tuple[int, ...]


def strides_of(shape: Shape, layout: Layout) -> Strides:
    """Distance in elements between neighbours along each logical axis, for a tensor stored in `layout`."""
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(layout):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def view_strides(shape: Shape, strides: Strides, result: Shape) -> Strides | None:
    """Strides with which `result` reads a reshape of the tensor from the same memory, if there are any."""
    runs: list[list[int]] = []  # [size, stride] of axes that lie as one, innermost last
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if runs and runs[-1][1] == size * stride:
            runs[-1] = [runs[-1][0] * size, stride]
        else:
            runs.append([size, stride])
    found = []
    left, step = 1, 1
    for size in reversed(result):
        if left == 1 and size > 1:
            left, step = runs.pop()
        if left % size:
            return None
        found.append(step)
        left, step = left // size, step * size
    return tuple(reversed(found))


def layout_of(tensor: Tensor, strides: Strides) -> Layout:
    """The layout with these strides; among equals the one that kernels ask for, then PyTorch's order."""
    wide = [axis for axis, size in enumerate(tensor.shape) if size > 1]
    order = sorted(wide, key=lambda axis: -strides[axis])
    for usual in (default_layout(tensor), row_major(len(tensor.shape))):
        if [axis for axis in usual if axis in wide] == order:
            return usual
    return (*(axis for axis in row_major(len(tensor.shape)) if axis not in wide), *order)


def relayout(tensor: Tensor, source: Layout, target: Layout) -> KernelCall:
    """The copy of a tensor that lies in layout `source` to layout `target`."""
    return _copy(tensor, tensor.shape, strides_of(tensor.shape, source), target)


def _copy(tensor: Tensor, shape: Shape, strides: Strides, order: Layout) -> KernelCall:
    """Read with `strides`, write without gaps; `order` lists the axes of `shape`, outermost first."""
    dims: list[int] = []
    steps: list[int] = []
    for axis in order:
        if shape[axis] == 1:
            continue
        if dims and steps[-1] == shape[axis] * strides[axis]:
            dims[-1] *= shape[axis]
            steps[-1] = strides[axis]
        else:
            dims.append(shape[axis])
            steps.append(strides[axis])
    require(
        len(dims) <= MAX_RANK,
        f"tensor {tensor.name!r}: a copy over {len(dims)} axes, ares_permute has {MAX_RANK}",
    )
    fields = (
        ("dims", frozen_array(dims or [1], np.int32)),
        ("strides", frozen_array(steps or [1], np.int32)),
        ("rank", max(len(dims), 1)),
        ("element_size", tensor.dtype.size),
    )
    return KernelCall("ares_permute", "permute.h", Struct("ares_permute_params", fields))


def can_copy(tensor: Tensor) -> bool:
    """Whether `ares_permute` can copy the tensor's elements."""
    return tensor.dtype.size in (1, 4)


def require_movable(tensor: Tensor) -> None:
    """Raise GraphError unless `ares_permute` can copy the tensor's elements."""
    require(
        can_copy(tensor),
        f"tensor {tensor.name!r} is {tensor.dtype.value}, expected elements of 1 or 4 bytes",
    )


def require_unchanged(name: str, site: Site) -> None:
    """Raise GraphError unless the result's codes mean what the source's codes mean."""
    (source,), (result,) = site.inputs, site.outputs
    require(
        (source.scale, source.zero_point) == (result.scale, result.zero_point),
        f"{name}: scale {result.scale} and zero point {result.zero_point} after a move that had "
        f"{source.scale} and {source.zero_point}",
    )


@dataclass(frozen=True, slots=True, eq=False)
class ReshapeOperation(KernelOperation):
    """`out = in.reshape(shape)`: the same elements in PyTorch's order; `shape` includes the batch."""

    EPS: ClassVar[float] = 0.0
    KERNEL: ClassVar[str] = "permute"

    shape: tuple[int, ...]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_movable(source)
        require(
            prod(self.shape) == source.size and self.allows(source.shape),
            f"{self.name}: {self.LAYER_TYPE} does not lead from {list(source.shape)} to "
            f"{list(self.shape)}",
        )
        return ((self.shape, (source.dtype,)),)

    def allows(self, source: Shape) -> bool:
        """Whether this kind of reshape leads from `source` to the shape of as many elements."""
        del source
        return True

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        require_unchanged(self.name, site)
        return (arrays[0].reshape(self.shape),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        (source,), (result,) = site.inputs, site.outputs
        strides = view_strides(source.shape, strides_of(source.shape, given[0]), self.shape)
        if strides is None:
            return given, (row_major(len(self.shape)),)
        return given, (layout_of(result, strides),)

    def lower(self, site: Site) -> KernelCall | Alias:
        require_unchanged(self.name, site)
        (source,), (result,), (target,) = site.inputs, site.outputs, site.output_layouts
        strides = strides_of(source.shape, site.input_layouts[0])
        seen = view_strides(source.shape, strides, self.shape)
        if seen is not None:
            return move(result, seen, target)
        ordered = layout_of(result, strides_of(self.shape, target)) == layout_of(
            result, strides_of(self.shape, row_major(len(self.shape)))
        )
        require(ordered, f"{self.name}: a reshape that copies cannot write layout {target}")
        return _copy(source, source.shape, strides, row_major(len(source.shape)))


def move(result: Tensor, seen: Strides, target: Layout) -> KernelCall | Alias:
    """`result` in layout `target` from memory in which it is seen with strides `seen`."""
    if layout_of(result, seen) == layout_of(result, strides_of(result.shape, target)):
        return Alias()
    return _copy(result, result.shape, seen, target)
