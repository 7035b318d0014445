"""Windows over the results of a convolution, for the oracles of what sums them: Python integers only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.ir import frozen_array
from tests.ops.conv2d_cases import Case
from tests.ops.convolving import draw_codes, facts_of, out_sizes, sums_of

Sums = dict[tuple[int, int, int], int]


@dataclass(frozen=True)
class Sliding:
    """A window over results: kernel, stride, (top, left, bottom, right)."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a case computes with, and its sums by (channel, y, x)."""

    x: npt.NDArray[Any]
    weight: npt.NDArray[Any]
    sums: Sums
    facts: dict[str, bool]
    sizes: tuple[int, int]


def window_sums(
    case: Case, sliding: Sliding, zero_point: int, lo: int, hi: int, seed: int
) -> Drawn:
    """Codes lo to hi and weights of a case, the sums of its results in windows, and what they reach."""
    codes = draw_codes(seed, (1, *case.shape), lo, hi, case.extreme)
    shape = (case.out, case.shape[0] // case.groups, *case.kernel)
    weight = draw_codes(seed + 1, shape, *case.weight, case.extreme)
    results = sums_of(case, codes, weight, zero_point)
    ends = out_sizes(case)
    sizes = []
    for axis in (0, 1):
        padded = sliding.padding[axis] + ends[axis] + sliding.padding[axis + 2]
        sizes.append(len(range(0, padded - sliding.kernel[axis] + 1, sliding.stride[axis])))
    found: Sums = {}
    inside = set()
    for o, y, x in product(range(case.out), range(sizes[0]), range(sizes[1])):
        places = [
            (
                y * sliding.stride[0] - sliding.padding[0] + i,
                x * sliding.stride[1] - sliding.padding[1] + j,
            )
            for i, j in product(range(sliding.kernel[0]), range(sliding.kernel[1]))
        ]
        terms = [results[o, row, column] for row, column in places if (o, row, column) in results]
        inside.add(len(terms))
        found[o, y, x] = sum(terms)
    steps = zip(sliding.stride, sliding.kernel, strict=True)
    facts = facts_of(case, codes) | {
        "window padding": min(inside) < sliding.kernel[0] * sliding.kernel[1],
        "overlapping windows": any(step < taps for step, taps in steps) and max(sizes) > 1,
        "one window": tuple(sizes) == (1, 1) and sliding.kernel == ends,
    }
    return Drawn(codes, weight, found, facts, (sizes[0], sizes[1]))


def fields_of(case: Case, sliding: Sliding, drawn: Drawn, axis: int, rank: int) -> dict[str, Any]:
    """Those of a `SummedConvolution`; of rank 3 where the case has one row."""
    first = 4 - rank
    ends = (slice(first, 2), slice(2 + first, 4))
    weight = drawn.weight if rank == 4 else drawn.weight[:, :, 0]
    return {
        "weight": frozen_array(weight, np.int8),
        "stride": case.stride[first:],
        "padding": (*case.padding[ends[0]], *case.padding[ends[1]]),
        "dilation": case.dilation[first:],
        "groups": case.groups,
        "window": sliding.kernel[first:],
        "window_stride": sliding.stride[first:],
        "window_padding": (*sliding.padding[ends[0]], *sliding.padding[ends[1]]),
        "axis": axis % rank,
    }


def as_laid(array: npt.NDArray[Any], axis: int, rank: int) -> npt.NDArray[Any]:
    """[1, C, H, W] with the channels along `axis`, of rank 3 without its one row."""
    return np.moveaxis(array if rank == 4 else array[:, :, 0], 1, axis)
