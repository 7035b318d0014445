"""Tensors that lie in a chosen memory order: what the tests of Flatten, Reshape, Squeeze and Permute start from.

A Permute costs nothing and turns a network input, which lies in PyTorch's order, into a tensor of any layout.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ares.ir import Tensor
from ares.ops import KernelOperation, Layout
from ares.ops.permute import Permute
from ares.plan import Plan
from tests.ops.harness import Array, codes, real

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Laid:
    """A tensor of `shape` in memory order `layout`, with the input and the Permute that make it so."""

    tensor: Tensor
    source: Tensor
    operation: KernelOperation
    array: Array  # what the source holds
    logical: Array  # what the tensor then holds


def laid(name: str, shape: Shape, layout: Layout, kind: str = "s8") -> Laid:
    """`kind`: s8, u8 or f32. The values count through the type, so that any exchange shows."""
    tensor = _tensor(name, shape, kind)
    memory = tuple(shape[axis] for axis in layout)
    source = _tensor(f"{name}_in", memory, kind)
    axes = tuple(layout.index(axis) for axis in range(len(shape)))
    values = np.arange(prod(shape))
    values = (values * 0.5 - 7).astype(np.float32) if kind == "f32" else values % 251 + tensor.lo
    array = values.reshape(memory)
    return Laid(
        tensor,
        source,
        Permute(f"{name}_order", (source.name,), (name,), axes),
        array,
        permuted(array, axes),
    )


def _tensor(name: str, shape: Shape, kind: str) -> Tensor:
    return real(name, shape) if kind == "f32" else codes(name, shape, kind, 0.5, 3)


def like(tensor: Tensor, name: str, shape: Shape) -> Tensor:
    """A tensor of another shape whose codes mean the same."""
    if tensor.scale is None:
        return real(name, shape)
    return codes(name, shape, tensor.dtype.value, tensor.scale, tensor.zero_point)


def permuted(array: Array, axes: Sequence[int]) -> Array:
    """The oracle of Permute: one element at a time."""
    result = np.zeros([array.shape[axis] for axis in axes], array.dtype)
    for index in itertools.product(*(range(size) for size in array.shape)):
        result[tuple(index[axis] for axis in axes)] = array[index]
    return result


def reshaped(array: Array, shape: Shape) -> Array:
    """The oracle of Reshape: one element at a time, in PyTorch's order on both sides."""
    result = np.zeros(shape, array.dtype)
    here = itertools.product(*(range(size) for size in array.shape))
    there = itertools.product(*(range(size) for size in shape))
    for index, target in zip(here, there, strict=True):
        result[target] = array[index]
    return result


def is_free(plan: Plan, layer: str) -> bool:
    """Whether nothing runs for a layer."""
    (step,) = (step for step in plan.steps if step.layer == layer)
    return step.call is None
