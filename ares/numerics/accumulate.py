"""Clause N2: sums of products are exact integers that fit int32.

`exact_matmul` runs on float64 BLAS: every partial sum is an integer below 2**53, hence exact in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

INT32_MAX = 2**31 - 1
_EXACT_FLOAT64 = 2**53


class NumericsError(ValueError):
    """Values outside the limits of a clause of `docs/numerics.md`."""


def exact_matmul(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """`a @ b` of integer arrays, exact (N2). Shapes [..., m, k] and [..., k, n]."""
    depth = a.shape[-1]
    largest = _largest(a) * _largest(b) * depth
    if largest >= _EXACT_FLOAT64:
        raise NumericsError(f"sums of up to {largest} are not exact in float64")
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def _largest(array: npt.NDArray[Any]) -> int:
    """Largest magnitude; not through `abs`, which leaves -128 of int8 negative."""
    return max(int(array.max(initial=0)), -int(array.min(initial=0)))
