"""Weights as the micro-kernels read them (runtime/inc/microkernels.h): panels of channels, four codes at a time.

The planner packs, the kernels run: nothing is packed, allocated or kept at run time.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ares.ir import DType, Tensor
from ares.ops._operation import Array

TILE_ROWS = 4
TILE_SEGMENTS = 16
PANEL_WIDTH = 16
GROUP = 4


def padded(length: int) -> int:
    """The length of a segment: the next multiple of four."""
    return -(-length // GROUP) * GROUP


def panels(weight: Array) -> npt.NDArray[np.int8]:
    """s8 [channels, segments, length] -> int8 [channels * segments * padded length].

    [panel of 16 channels][segment][length / 4][channel of the panel][4]; the last panel is as wide as what is left, and
    segments are filled up with zeros to a multiple of four.
    """
    channels, segments, length = weight.shape
    filled = np.zeros((channels, segments, padded(length)), np.int8)
    filled[:, :, :length] = weight
    edges = [*range(0, channels, PANEL_WIDTH), channels]
    parts = [
        filled[first:end].reshape(end - first, segments, -1, GROUP).transpose(1, 2, 0, 3)
        for first, end in pairwise(edges)
    ]
    return np.concatenate([part.reshape(-1) for part in parts])


def codes_product_scratch(rows: int, depth: int, columns: Tensor) -> int:
    """Bytes that `ares_multiply_codes` (runtime/inc/codes_product.h) needs for so many rows times `columns`."""
    packed_zero_point = columns.zero_point - (0 if columns.dtype is DType.S8 else 128)
    sums = 4 * rows if packed_zero_point else 0
    return sums + PANEL_WIDTH * padded(depth) + token_rows_scratch(rows, depth)


def token_rows_scratch(rows: int, features: int) -> int:
    """Bytes that `ares_token_rows` (runtime/inc/token_rows.h) needs for so many rows in all."""
    return 0 if features % GROUP == 0 else min(rows, TILE_ROWS) * padded(features)
