"""A QuantLinear that no quantiser follows before the network's output: binary32 logits."""

from __future__ import annotations

import numpy as np

from ares.extract._affine import Affine
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._values import Codes
from ares.ir import frozen_array
from ares.numerics import Pointwise
from ares.ops.linear_fp32 import LinearFp32


def add_logits(call: Call, source: Codes, affine: Affine, pointwise: Pointwise) -> str:
    """Add the operation; scale and bias are rounded to binary32 once, here.

    `pointwise` has factors and addends only: a BatchNorm behind the layer, or arithmetic with constants.
    """
    features = affine.weight.shape[0]
    factor, addend = (
        np.array([float(term) for term in terms])
        for terms in (pointwise.factors, pointwise.addends)
    )
    scale = np.broadcast_to(affine.accumulator_scale(call.tensor(source)) * factor, (features,))
    bias = affine.bias
    if bias.size or addend.any():
        whole = (bias if bias.size else np.zeros(1)) * factor + addend
        bias = np.broadcast_to(whole, (features,))
    largest = float(np.finfo(np.float32).max)
    if max(np.abs(scale).max(), np.abs(bias).max(initial=0.0)) > largest:
        reject("its results leave binary32", "multiply and add smaller numbers behind it, or none")
    return call.add(
        LinearFp32,
        (source.tensor,),
        None,
        weight=affine.weight,
        scale=frozen_array(scale.astype(np.float32), np.float32),
        bias_codes=frozen_array(affine.bias_codes, np.int32),
        bias=frozen_array(bias.astype(np.float32), np.float32),
    )
