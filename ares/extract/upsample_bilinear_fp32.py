"""Bilinear interpolation that no quantiser follows before the network's output: binary32 results."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ares.extract._call import Call
from ares.ir import frozen_array
from ares.numerics import Pointwise
from ares.ops.upsample_bilinear_fp32 import UpsampleBilinearFp32


def add_real(
    call: Call, source: str, unit: Fraction, fields: dict[str, Any], pointwise: Pointwise
) -> str:
    """Add the operation; `unit` is the real value of a sum's, `fields` are the geometry.

    `pointwise` has factors and addends only. Scale and bias are rounded to binary32 once, here.
    """
    channels = call.builder.tensors[source].shape[1]
    scale = np.array([float(factor * unit) for factor in pointwise.factors])
    bias = np.array([float(addend) for addend in pointwise.addends])
    whole = np.broadcast_to(bias, (channels,)) if bias.any() else np.zeros(0)
    return call.add(
        UpsampleBilinearFp32,
        (source,),
        None,
        **fields,
        scale=frozen_array(np.broadcast_to(scale, (channels,)).astype(np.float32), np.float32),
        bias=frozen_array(whole.astype(np.float32), np.float32),
    )
