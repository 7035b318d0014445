"""LayerNorm, module and function: exact moments of codes, one rounding at the next quantiser."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._norms import trailing
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.layer_norm import LayerNorm


@on_module(nn.LayerNorm)
def layer_norm_module(call: Call) -> Value:
    m = call.module
    return trailing(call, LayerNorm, m.normalized_shape, m.weight, m.bias, m.eps)


@on_function("layer_norm")
def layer_norm_function(call: Call) -> Value:
    return trailing(
        call,
        LayerNorm,
        call.argument(1, "normalized_shape"),
        call.argument(2, "weight"),
        call.argument(3, "bias"),
        call.argument(4, "eps", 1e-5),
    )
