"""What layers share whose result stays real (N9): `(float)(acc + bias_codes) * scale + bias`, each rounded once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ares.ir import Tensor
from ares.ops._operation import Array, require


def require_constants(name: str, count: int, scale: Array, bias_codes: Array, bias: Array) -> None:
    """Raise GraphError unless there is a scale for each of `count` outputs; either bias may be empty."""
    for values in (scale, bias_codes, bias):
        optional = values is not scale
        require(
            values.size == count or (optional and values.size == 0),
            f"{name}: {values.size} constants for {count} features",
        )


def bias_bound(bias_codes: Array) -> int:
    """What an integer bias can add to the magnitude of an accumulator."""
    return int(np.abs(bias_codes.astype(np.int64)).max(initial=0))


def unit_of(scale: Array, output: Tensor, axis: int = -1) -> Array:
    """What one more in an accumulator is worth, by element of the output."""
    shape = [1] * len(output.shape)
    shape[axis] = -1
    return np.broadcast_to(np.abs(scale.astype(np.float64)).reshape(shape), output.shape)


def real_output(
    acc: Array, scale: Array, bias_codes: Array, bias: Array, axis: int = -1
) -> npt.NDArray[np.float32]:
    """binary32 results of accumulators; the constants are those of the elements along `axis`."""
    shape = [1] * acc.ndim
    shape[axis] = -1
    if bias_codes.size:
        acc = acc + bias_codes.reshape(shape)
    value: npt.NDArray[np.float32] = acc.astype(np.float32) * scale.reshape(shape)
    if bias.size:
        value = value + bias.reshape(shape)
    return value
