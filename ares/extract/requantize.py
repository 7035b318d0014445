"""Brevitas' activation layers: they end whatever waits for a quantiser, or map codes to codes.

Whatever the layer is called, it does what its proxy does: its activation, then its quantiser. QuantHardTanh is a
QuantIdentity (Brevitas passes the activation through), and so is each layer that shares the quantiser of one.
"""

from __future__ import annotations

import brevitas.nn as qnn
from brevitas.nn.quant_layer import QuantNonLinearActLayer

from ares.extract._call import Call
from ares.extract._codes import quantize, quantized_input, quantizer_of
from ares.extract._elementwise import apply_function
from ares.extract._findings import reject
from ares.extract._functions import function_of
from ares.extract._registry import on_module
from ares.extract._values import Codes, Unknown, Value
from ares.numerics import IDENTITY
from ares.ops.activation import Activation

_LAYERS = (
    "QuantIdentity",
    "QuantReLU",
    "QuantSigmoid",
    "QuantTanh",
    "QuantHardTanh",
    "QuantHardSwish",
)


# QuantHardSwish came with Brevitas 0.13.
@on_module(QuantNonLinearActLayer, *(getattr(qnn, name) for name in _LAYERS if hasattr(qnn, name)))
def quant_activation(call: Call) -> Value:
    value = quantized_input(call)
    if isinstance(value, Unknown):
        return value
    proxy = call.module.act_quant
    quantizer = quantizer_of(call, proxy)
    if quantizer is not None:
        if isinstance(value, Codes) and quantizer.function.clips is None:
            value = apply_function(call, quantizer.function, Activation, value)
            quantizer = quantizer.with_function(IDENTITY)
        return quantize(call, value, quantizer)
    if proxy.fused_activation_quant_proxy is None:
        return value
    implementation = proxy.fused_activation_quant_proxy.activation_impl
    function = function_of(implementation)
    if function is None:
        name = type(implementation).__name__
        reject(f"it applies {name}, which cannot be mapped", "use an activation that ARES lists")
    return apply_function(call, function, Activation, value)
