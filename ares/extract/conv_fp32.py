"""A convolution that no quantiser follows before the network's output, or its average: binary32 results."""

from __future__ import annotations

from ares.extract._affine import Affine
from ares.extract._call import Call
from ares.extract._real_output import real_constants
from ares.extract._summing import Summing
from ares.numerics import Pointwise
from ares.ops.conv_fp32 import ConvFp32


def add_real(
    call: Call, source: str, affine: Affine, summing: Summing, pointwise: Pointwise
) -> str:
    """Add the operation; `pointwise` has factors and addends only."""
    tensor = call.builder.tensors[source]
    constants = real_constants(affine, tensor, pointwise, summing.positions)
    return call.add(ConvFp32, (source,), None, **{**constants, **summing.fields(affine.weight)})
