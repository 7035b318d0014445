"""Clause N6: a binary32 input to codes, with Brevitas' own order of operations.

C: `ares_quantize_f32` in `runtime/src/quantize_f32.c`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def quantize_f32(
    x: npt.NDArray[np.float32], scale: float, zero_point: int, lo: int, hi: int
) -> npt.NDArray[np.int64]:
    """clamp(round_half_even(x / scale + zero_point)).

    Each step is one correctly rounded binary32 operation (N9). Infinities clamp; NaN, which has no code,
    becomes the zero point (N6).
    """
    if x.dtype != np.float32:
        raise TypeError(f"expected float32, found {x.dtype}")
    # Division of a huge input by a small scale may overflow to infinity, which then clamps.
    with np.errstate(over="ignore", invalid="ignore"):
        quotient = (x / np.float32(scale)).astype(np.float32)
        shifted = (quotient + np.float32(zero_point)).astype(np.float32)
    number = np.where(np.isnan(shifted), np.float32(zero_point), shifted)
    clamped = np.clip(number, np.float32(lo), np.float32(hi))
    return np.asarray(np.rint(clamped), dtype=np.int64)
