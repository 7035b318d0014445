"""Convolutions in Python integers, for the oracles of all that convolve: six loops. A signal is an image of one row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from tests.ops.conv2d_cases import Array, Case


def draw_codes(seed: int, shape: Sequence[int], lo: int, hi: int, extreme: bool) -> Array:
    raw = np.random.Philox(key=seed).random_raw(int(np.prod(shape))).reshape(shape)
    drawn = (raw % np.uint64(hi - lo + 1)).astype(np.int64) + lo
    return np.where(drawn > (lo + hi) / 2, hi, lo) if extreme else drawn


def taps(case: Case, y: int, x: int) -> list[tuple[int, int, int, int]]:
    """(i, j, row, column) of the taps of an output that fall inside the input."""
    _, height, width = case.shape
    found = []
    for i, j in product(range(case.kernel[0]), range(case.kernel[1])):
        row = y * case.stride[0] - case.padding[0] + i * case.dilation[0]
        column = x * case.stride[1] - case.padding[1] + j * case.dilation[1]
        if 0 <= row < height and 0 <= column < width:
            found.append((i, j, row, column))
    return found


def out_sizes(case: Case) -> tuple[int, int]:
    sizes = []
    for axis in (0, 1):
        padded = case.padding[axis] + case.shape[1 + axis] + case.padding[axis + 2]
        starts = range(0, padded - case.dilation[axis] * (case.kernel[axis] - 1), case.stride[axis])
        sizes.append(len(starts))
    return sizes[0], sizes[1]


def sums_of(
    case: Case, x: Array, weight: Array, zero_point: int
) -> dict[tuple[int, int, int], int]:
    """The accumulator of every output (channel, y, x)."""
    depth, size = case.shape[0] // case.groups, case.out // case.groups
    pixels, weights = x.tolist(), weight.tolist()
    found = {}
    height, width = out_sizes(case)
    for y, column in product(range(height), range(width)):
        inside = taps(case, y, column)
        for o in range(case.out):
            total = 0
            for c, (i, j, row, col) in product(range(depth), inside):
                code = pixels[0][o // size * depth + c][row][col]
                total += (code - zero_point) * weights[o][c][i][j]
            found[o, y, column] = total
    return found


def facts_of(case: Case, x: Array) -> dict[str, bool]:
    height, width = out_sizes(case)
    counts = {len(taps(case, y, x)) for y, x in product(range(height), range(width))}
    is_depthwise = case.groups == case.out == case.shape[0]
    rests = []
    for axis in (0, 1):
        padded = case.padding[axis] + case.shape[1 + axis] + case.padding[axis + 2]
        reach = case.dilation[axis] * (case.kernel[axis] - 1) + 1
        rests.append((padded - reach) % case.stride[axis])
    return {
        "padding": min(counts) < case.kernel[0] * case.kernel[1],
        "no tap inside": 0 in counts,
        "one-sided padding": case.padding[:2] != case.padding[2:],
        "dilation": max(case.dilation) > 1,
        "kernel larger than the input": case.kernel[0] > case.shape[1]
        and case.kernel[1] > case.shape[2],
        "depthwise": case.groups > 1 and is_depthwise,
        "groups": case.groups > 1 and not is_depthwise,
        "input above 127": x.max() > 127,
        "dropped rest": any(rests),
    }
