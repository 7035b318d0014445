"""Constants of a layer that no quantiser follows before the network's output: binary32 results."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ares.extract._affine import Affine
from ares.extract._findings import reject
from ares.ir import Tensor, frozen_array
from ares.numerics import Pointwise

Array = npt.NDArray[np.float64]


def real_constants(
    affine: Affine, source: Tensor, pointwise: Pointwise, summed: int = 1
) -> dict[str, Any]:
    """Fields of an operation with such results: scale and bias are rounded to binary32 once, here.

    `pointwise` has factors and addends only: a BatchNorm behind the layer, or arithmetic with constants. An accumulator
    is the sum of `summed` results, of which the mean is meant.
    """
    unit = affine.accumulator_scale(source)
    bias, bias_codes = affine.bias, affine.bias_codes
    if bias_codes.size and summed > 1:
        bias, bias_codes = bias_codes * unit, bias_codes[:0]
    scale, addend = real_terms(unit / summed, bias, pointwise, affine.weight.shape[0])
    return {
        "weight": affine.weight,
        "scale": frozen_array(scale, np.float32),
        "bias_codes": frozen_array(bias_codes, np.int32),
        "bias": frozen_array(addend, np.float32),
    }


def real_terms(
    unit: Array, bias: Array, pointwise: Pointwise, outputs: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(scale, bias) of as many outputs; the real value of a unit of their sums, and a real bias, may be one for all.

    The bias is empty where there is none.
    """
    factor, addend = (
        np.array([float(term) for term in terms])
        for terms in (pointwise.factors, pointwise.addends)
    )
    scale = np.broadcast_to(unit * factor, (outputs,))
    if bias.size or addend.any():
        whole = (bias if bias.size else np.zeros(1)) * factor + addend
        bias = np.broadcast_to(whole, (outputs,))
    limits = np.finfo(np.float32)
    if max(np.abs(scale).max(), np.abs(bias).max(initial=0.0)) > float(limits.max):
        reject("its results leave binary32", "multiply and add smaller numbers behind it, or none")
    if (np.abs(scale[scale != 0.0]) < float(limits.tiny)).any():
        reject(
            f"its results are multiples of {np.abs(scale[scale != 0.0]).min():.3g}, too small for binary32, "
            f"whose normal numbers begin at {limits.tiny:.3g}",
            "multiply by larger numbers behind it, or by none",
        )
    return scale.astype(np.float32), bias.astype(np.float32)
