"""The windows of poolings along one axis, in Python integers, from PyTorch's definitions.

Sliding ones are ATen's `pooling_output_shape` and `avg_pool2d`, line by line; adaptive ones are its `start_index` and
`end_index`. `test_the_windows_are_pytorchs` of `test_avg_pool1d.py` holds them against torch itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor
from ares.numerics import Rescale, plan_rescale
from ares.ops.permute import Permute
from tests.numerics import oracle
from tests.ops.layouts import Laid, laid, permuted

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Seen:
    """The positions of one window inside the input, and how many its average is divided by."""

    places: tuple[int, ...]
    divisor: int


def sliding(
    size: int,
    kernel: int,
    stride: int,
    pads: tuple[int, int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    dilation: int = 1,
) -> list[Seen]:
    front, behind = pads
    steps = size + front + behind - dilation * (kernel - 1) - 1 + (stride - 1 if ceil_mode else 0)
    count = steps // stride + 1
    if ceil_mode and (count - 1) * stride >= size + front:
        count -= 1
    found = []
    for window in range(count):
        start = window * stride - front
        end = min(start + kernel, size + behind)
        counted = end - start
        if not count_include_pad:
            counted = min(end, size) - max(start, 0)
        taps = [start + tap * dilation for tap in range(kernel)]
        found.append(Seen(tuple(tap for tap in taps if 0 <= tap < size), counted))
    return found


def adaptive(size: int, out: int) -> list[Seen]:
    found = []
    for window in range(out):
        start, end = window * size // out, ((window + 1) * size + out - 1) // out
        found.append(Seen(tuple(range(start, end)), end - start))
    return found


def maxima(x: Array, axes: Sequence[Sequence[Seen]]) -> Array:
    """The largest of every window along the axes behind the channels of `x`."""
    out = np.zeros((*x.shape[:2], *map(len, axes)), np.int64)
    for channel, index, seen in every(x, axes):
        places = product(*(window.places for window in seen))
        out[0, channel, *index] = max(int(x[0, channel, *place]) for place in places)
    return out


def averages(
    x: Array, axes: Sequence[Sequence[Seen]], source: Tensor, target: Tensor, divisor: int | None
) -> tuple[Array, list[Fraction]]:
    """(codes, the same before rounding) of every window; `divisor` in place of the windows' own."""
    assert source.scale is not None
    assert target.scale is not None
    out, reals = np.zeros((*x.shape[:2], *map(len, axes)), np.int64), []
    for channel, index, seen in every(x, axes):
        places = product(*(window.places for window in seen))
        total = sum(int(x[0, channel, *place]) - source.zero_point for place in places)
        count = divisor or prod(window.divisor for window in seen)
        real = Fraction(total, count) * Fraction(source.scale) / Fraction(target.scale)
        reals.append(real + target.zero_point)
        out[0, channel, *index] = oracle.clamp(oracle.nearest(reals[-1]), target.lo, target.hi)
    return out, reals


def rescales(
    axes: Sequence[Sequence[Seen]], source: Tensor, target: Tensor, divisor: int | None = None
) -> tuple[Rescale, ...]:
    """Constants for every size from the smallest to the largest along each axis, or for the one divisor."""
    assert source.scale is not None
    assert target.scale is not None
    sizes = [sorted({window.divisor for window in windows}) for windows in axes]
    whole = [range(found[0], found[-1] + 1) for found in sizes]
    counts = [divisor] if divisor else [prod(size) for size in product(*whole)]
    bound = prod(max(len(window.places) for window in windows) for windows in axes)
    return tuple(
        plan_rescale(
            [Fraction(source.scale) / Fraction(target.scale) / count],
            [Fraction(0)],
            target.zero_point,
            target.lo,
            target.hi,
            max(bound, count) * source.largest_magnitude,
        )
        for count in counts
    )


def scattered(name: str, shape: tuple[int, ...], layout: tuple[int, ...], kind: str) -> Laid:
    """A tensor in that memory order, whose codes lie up to 11 steps on both sides of its zero point."""
    source = laid(name, shape, layout, kind)
    tensor = replace(source.tensor, zero_point=source.tensor.lo + 61)
    values = np.arange(source.array.size) * 37 % 23 - 11 + tensor.zero_point
    moved = replace(source.source, zero_point=tensor.zero_point)
    around = replace(source, tensor=tensor, source=moved)
    return holding(around, values.reshape(source.array.shape))


def holding(source: Laid, array: Array) -> Laid:
    """The same tensor with other codes; `array` in memory order."""
    assert isinstance(source.operation, Permute)
    return replace(source, array=array, logical=permuted(array, source.operation.axes))


def every(
    x: Array, axes: Sequence[Sequence[Seen]]
) -> Iterator[tuple[int, tuple[int, ...], tuple[Seen, ...]]]:
    for channel in range(x.shape[1]):
        for index in product(*(range(len(windows)) for windows in axes)):
            yield channel, index, tuple(axis[i] for axis, i in zip(axes, index, strict=True))
