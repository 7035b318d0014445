"""Why a runtime's codes differ, where the numbers say it: a rule that gives all of its codes, and not the golden ones.

Each rule computes what a runtime would give that rounds or sums in that way, from the layer's real values or from its
integers. One that explains every code of every case is named; none is where none does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ares.ops.linear import Linear

if TYPE_CHECKING:
    from ares.comparer.judging import Judged

Array = npt.NDArray[Any]
# As near to a tie, in codes, what is computed in binary32 may fall on either side.
_NEAR = 2.0**-7
_AFTER_ROUNDING = "ties: ONNX adds the zero point, which is odd, after rounding"
_MEANT = "the file itself, in float64, means what was found"


def cause_of(judged: Judged, golden: Array, found: Array) -> str:
    """In words; "" where no rule gives what was found."""
    if judged.before is not None:
        real = np.stack(judged.before)
        zero = judged.tensor.zero_point
        if np.array_equal(_limited(judged, np.rint(real - zero) + zero), found):
            is_tie = np.array_equal(_limited(judged, np.rint(real)), golden)
            return _AFTER_ROUNDING if is_tie else _MEANT
        for words, rounds in _ROUNDINGS.items():
            if np.array_equal(_limited(judged, rounds(real, judged.tensor.zero_point)), found):
                return words
        differs = golden != found
        ties = np.abs(real - np.floor(real) - 0.5)[differs]
        if ties.max() <= _NEAR and np.abs(golden - found).max() == 1:
            return f"computed in binary32: all within {ties.max():.1g} codes of a tie"
    saturating = _saturating_pairs(judged)
    if saturating is not None and np.array_equal(saturating, found):
        return "pairs of products saturate at 16 bits before they are summed (VPMADDUBSW)"
    return ""


def _limited(judged: Judged, codes: Array) -> Array:
    rescale = getattr(judged.operation, "rescale", None)
    lo = judged.tensor.lo if rescale is None else rescale.lo
    hi = judged.tensor.hi if rescale is None else rescale.hi
    return np.asarray(np.clip(codes, lo, hi))


def _half_away(real: Array, zero: int) -> Array:
    steps = real - zero
    return np.asarray(np.copysign(np.floor(np.abs(steps) + 0.5), steps) + zero)


_ROUNDINGS: Mapping[str, Callable[[Array, int], Array]] = {
    "rounded half up": lambda real, _zero: np.floor(real + 0.5),
    "rounded half away from zero": _half_away,
    "rounded half down": lambda real, _zero: np.ceil(real - 0.5),
    "truncated": lambda real, zero: np.trunc(real - zero) + zero,
    "rounded down": lambda real, _zero: np.floor(real),
}


def _saturating_pairs(judged: Judged) -> Array | None:
    """A linear layer on u8 codes whose products are summed two by two in 16 bits; s8 codes are moved by 128 first."""
    layer = judged.operation
    if not isinstance(layer, Linear):
        return None
    source = judged.inputs[0]
    moved = 128 if source.dtype.lo < 0 else 0
    weight = layer.weight.astype(np.int64)
    odd = weight.shape[1] % 2
    found = []
    for (codes,) in judged.given:
        bytes_ = codes.astype(np.int64) + moved
        products = bytes_[..., np.newaxis, :] * weight
        if odd:
            products = np.pad(products, [(0, 0)] * (products.ndim - 1) + [(0, 1)])
        pairs = products.reshape(*products.shape[:-1], -1, 2).sum(-1)
        sums = np.clip(pairs, -(2**15), 2**15 - 1).sum(-1)
        acc = sums - (source.zero_point + moved) * weight.sum(1)
        found.append(layer.rescale.apply(acc).astype(np.float64))
    return np.stack(found)
