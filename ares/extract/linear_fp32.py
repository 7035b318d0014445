"""A QuantLinear that no quantiser follows before the network's output: binary32 logits."""

from __future__ import annotations

from ares.extract._affine import Affine
from ares.extract._call import Call
from ares.extract._real_output import real_constants
from ares.extract._values import Codes
from ares.numerics import Pointwise
from ares.ops.linear_fp32 import LinearFp32


def add_logits(call: Call, source: Codes, affine: Affine, pointwise: Pointwise) -> str:
    """Add the operation; `pointwise` has factors and addends only."""
    constants = real_constants(affine, call.tensor(source), pointwise)
    return call.add(LinearFp32, (source.tensor,), None, **constants)
