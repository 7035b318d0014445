"""Exact comparison of two tensors, and what is worth knowing when they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

HISTOGRAM_ROWS = 7


@dataclass(frozen=True, slots=True)
class Difference:
    """Where and how two tensors of one shape differ; `index` is in PyTorch's logical order.

    `histogram` counts (found - expected), most frequent first; for binary32 tensors it counts distances in units
    in the last place.
    """

    tensor: str
    wrong: int
    total: int
    index: tuple[int, ...]
    expected: float
    found: float
    largest: int
    histogram: Mapping[int, int]

    def lines(self) -> list[str]:
        """The report, one fact a line."""
        percent = 100.0 * self.wrong / self.total
        share = f"{percent:.2g}" if percent < 99.5 else f"{percent:.0f}"
        text = [
            f"{self.wrong} of {self.total} elements differ ({share} %), largest by {self.largest}",
            f"first at {list(self.index)}: expected {self.expected:g}, found {self.found:g}",
        ]
        peak = max(self.histogram.values())
        for value, count in sorted(self.histogram.items()):
            text.append(f"  {value:+6d} {'#' * max(1, round(30 * count / peak))} {count}")
        return text


def first_difference(
    tensor: str, expected: npt.NDArray[Any], found: npt.NDArray[Any]
) -> Difference | None:
    """None when equal bit by bit, else the Difference.

    Raises ValueError when shape or type differ, or the type is not one that tensors have.
    """
    if expected.shape != found.shape or expected.dtype != found.dtype:
        raise ValueError(
            f"{tensor}: {found.dtype.name}{list(found.shape)} cannot be compared with "
            f"{expected.dtype.name}{list(expected.shape)}"
        )
    a, b = _comparable(expected), _comparable(found)
    if np.array_equal(a, b):
        return None
    distance = b - a
    where = np.argwhere(distance)
    index = tuple(int(i) for i in where[0])
    values, counts = np.unique(distance[distance != 0], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:HISTOGRAM_ROWS]
    return Difference(
        tensor=tensor,
        wrong=len(where),
        total=int(expected.size),
        index=index,
        expected=float(expected[index]),
        found=float(found[index]),
        largest=int(np.abs(distance).max()),
        histogram={int(values[i]): int(counts[i]) for i in order},
    )


def _comparable(array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Integers that are equal exactly when the bits are; neighbours of binary32 are neighbours here."""
    if array.dtype.kind in "iu" and array.dtype.itemsize <= 4:
        return array.astype(np.int64)
    if array.dtype != np.float32:
        raise ValueError(f"{array.dtype.str} is no element type of a tensor")
    bits = array.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF) - 1, bits)
