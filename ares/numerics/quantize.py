"""Clause N6: a binary32 input to codes, with the model's own order of operations.

C: `ares_quantize_f32` in `runtime/src/quantize_f32.c`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


class FloatStepKind(enum.IntEnum):
    """What a step does with x and its constant c; the numbers are those of the C enumeration."""

    ADD = 0
    SUB = 1
    RSUB = 2
    MUL = 3
    DIV = 4
    SIGN = 5


@dataclass(frozen=True, slots=True, eq=False)
class FloatStep:
    """x + c, x - c, c - x, x * c or x / c in binary32, rounded once; or c for x >= 0, else -c.

    `kind` is a `FloatStepKind`. Element i, in PyTorch's order, meets values[i // inner % len(values)].
    """

    kind: int
    values: Float32Array
    inner: int

    def constants(self, elements: int) -> Float32Array:
        """The constant that each of so many elements meets."""
        return self.values[np.arange(elements) // self.inner % len(self.values)]

    def apply(self, x: Float32Array) -> Float32Array:
        c = self.constants(x.size).reshape(x.shape)
        # Overflow is an infinity and its like, which then clamp.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            match FloatStepKind(self.kind):
                case FloatStepKind.ADD:
                    return x + c
                case FloatStepKind.SUB:
                    return x - c
                case FloatStepKind.RSUB:
                    return c - x
                case FloatStepKind.MUL:
                    return x * c
                case FloatStepKind.DIV:
                    return x / c
                case FloatStepKind.SIGN:
                    return np.where(x >= 0, c, -c)


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
