"""A transposed convolution that no quantiser follows before the network's output: binary32 results."""

from __future__ import annotations

from typing import Any

from ares.extract._affine import Affine
from ares.extract._call import Call
from ares.extract._real_output import real_constants
from ares.numerics import Pointwise
from ares.ops.conv_transpose_fp32 import ConvTransposeFp32


def add_real(
    call: Call, source: str, affine: Affine, fields: dict[str, Any], pointwise: Pointwise
) -> str:
    """Add the operation; `fields` are weight and geometry, `pointwise` has factors and addends only."""
    constants = real_constants(affine, call.builder.tensors[source], pointwise)
    return call.add(ConvTransposeFp32, (source,), None, **{**constants, **fields})
