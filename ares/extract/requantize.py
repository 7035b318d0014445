"""QuantIdentity: it ends whatever waits for a quantiser, or maps codes to codes."""

from __future__ import annotations

import brevitas.nn as qnn

from ares.extract._call import Call
from ares.extract._registry import on_module
from ares.extract._values import Unknown, Value


@on_module(qnn.QuantIdentity)
def quant_identity(call: Call) -> Value:
    value = call.quantized_input()
    if isinstance(value, Unknown):
        return value
    quantizer = call.quantizer(call.module.act_quant)
    return value if quantizer is None else call.quantize(value, quantizer)
