"""RMSNorm, module and function: an exact sum of squares of codes, one rounding at the next quantiser."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._norms import trailing
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.rms_norm import RmsNorm


@on_module(nn.RMSNorm)
def rms_norm_module(call: Call) -> Value:
    m = call.module
    return trailing(call, RmsNorm, m.normalized_shape, m.weight, None, m.eps)


@on_function("rms_norm")
def rms_norm_function(call: Call) -> Value:
    return trailing(
        call,
        RmsNorm,
        call.argument(1, "normalized_shape"),
        call.argument(2, "weight"),
        None,
        call.argument(3, "eps"),
    )
