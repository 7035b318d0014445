"""Bilinear interpolation that no quantiser follows before the network's output: binary32 results."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ares.extract._call import Call
from ares.extract._real_output import real_terms
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
    scale, bias = real_terms(np.array([float(unit)]), np.zeros(0), pointwise, channels)
    return call.add(
        UpsampleBilinearFp32,
        (source,),
        None,
        **fields,
        scale=frozen_array(scale, np.float32),
        bias=frozen_array(bias, np.float32),
    )
