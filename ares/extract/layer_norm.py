"""LayerNorm, module and function: exact moments of codes, one rounding at the next quantiser."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._norms import trailing
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.layer_norm import LayerNorm


@on_module(nn.LayerNorm)
@on_function("layer_norm")
def layer_norm(call: Call) -> Value:
    return trailing(
        call,
        LayerNorm,
        call.setting("normalized_shape", 1),
        call.setting("weight", 2),
        call.setting("bias", 3),
        call.setting("eps", 4, 1e-5),
    )
