"""A parameter or buffer that meets a quantiser: its codes are made here, once, as the model makes them."""

from __future__ import annotations

import numpy as np

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._values import Constant
from ares.ir import frozen_array
from ares.ops.constant import Constant as ConstantOperation


def quantized_constant(call: Call, value: Constant, quantizer: Quantizer) -> str:
    """The tensor of codes of a constant of the model."""
    if value.array is None:
        reject("it quantises a constant that holds no real numbers", "convert it to float32")
    if value.array.ndim < 2 or value.array.shape[0] != 1:
        reject(
            f"it quantises the constant {value.name!r} of shape {list(value.array.shape)}",
            "give it a first axis of one, for the batch: [1, ...]",
        )
    if not np.isfinite(value.array).all():
        reject(f"the constant {value.name!r} contains NaN or infinity", "train or load it again")
    real = quantizer.function.evaluate(value.array) / quantizer.scale + quantizer.zero_point
    codes = np.clip(np.rint(real), quantizer.lo, quantizer.hi)
    return call.add(ConstantOperation, (), quantizer, codes=frozen_array(codes, np.int16))
