"""ReLU: QuantReLU with its quantiser, torch.nn.ReLU and the functional forms."""

from __future__ import annotations

from dataclasses import replace

import brevitas.nn as qnn
from torch import nn

from ares.extract._call import Call
from ares.extract._registry import on_function, on_module
from ares.extract._values import Codes, Real, Unknown, Value
from ares.numerics import RELU, lookup_table
from ares.ops.relu import Relu


@on_module(qnn.QuantReLU)
def quant_relu(call: Call) -> Value:
    value = call.quantized_input()
    if isinstance(value, Unknown):
        return value
    quantizer = call.quantizer(call.module.act_quant)
    # A quantiser that is shared with another module does what its first owner's activation says.
    return _relu(call, value) if quantizer is None else call.quantize(value, quantizer)


@on_module(nn.ReLU)
@on_function("relu")
def relu(call: Call) -> Value:
    return _relu(call, call.x)


def _relu(call: Call, value: Value) -> Value:
    if isinstance(value, Codes):
        source = call.tensor(value)
        if source.lo >= source.zero_point:
            return value
        table = lookup_table(RELU, source, source)
        return Codes(
            call.add(Relu, (value.tensor,), replace(source, lo=source.zero_point), table=table)
        )
    return value.then(RELU) if isinstance(value, Real) else value
