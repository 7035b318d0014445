"""RMSNorm, module and function: an exact sum of squares of codes, one rounding at the next quantiser."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._norms import trailing
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.rms_norm import RmsNorm


@on_module(nn.RMSNorm)
@on_function("rms_norm")
def rms_norm(call: Call) -> Value:
    return trailing(
        call,
        RmsNorm,
        call.setting("normalized_shape", 1),
        call.setting("weight", 2),
        None,
        call.setting("eps", 3),
    )
