"""Softmax over the last axis (`AttentionWeights`, nn.Softmax, softmax): codes to codes of its quantiser."""

from __future__ import annotations

from typing import Any

from torch import nn

from ares.extract._call import Call
from ares.extract._codes import codes_of, quantize, quantizer_of
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function, on_module
from ares.extract._rescaling import real_value
from ares.extract._values import Unknown, Value
from ares.nn.leaves.attention import AttentionWeights
from ares.numerics import NumericsError, exp_table, plan_reciprocal
from ares.ops.softmax import Softmax

_QUANTISE = "put a QuantIdentity after it, unsigned (act_quant=Uint8ActPerTensorFloat)"


@on_module(AttentionWeights)
def attention_weights(call: Call) -> Value:
    value = _softmax(call, -1, call.module.causal)
    quantizer = quantizer_of(call, call.module.quant.act_quant, one_is_usual=True)
    if quantizer is None or isinstance(value, Unknown):
        return value
    return quantize(call, value, quantizer)


@on_module(nn.Softmax)
@on_function("softmax")
def softmax(call: Call) -> Value:
    return _softmax(call, call.setting("dim", 1))


def _softmax(call: Call, dim: Any, causal: bool = False) -> Value:
    if isinstance(call.x, Unknown):
        return call.x
    source = codes_of(call, call.x)
    scores = call.tensor(source)
    if dim not in (-1, len(scores.shape) - 1):
        reject(
            f"it runs over dim={dim} of {len(scores.shape)}, expected the last one",
            "permute the axis to the end and say dim=-1",
        )

    def finish(quantizer: Quantizer) -> str:
        if not quantizer.only_limits:
            raise call.fault(
                f"{quantizer.function.name} is applied to its probabilities", _QUANTISE
            )
        try:
            mantissas, exponents = exp_table(scores.scale or 0.0)
            numerator, exponent = plan_reciprocal(quantizer.scale)
        except NumericsError as error:
            raise call.fault(str(error), "check the scales before and after it") from None
        return call.add(
            Softmax,
            (source.tensor,),
            quantizer,
            causal=causal,
            mantissas=mantissas,
            exponents=exponents,
            numerator=numerator,
            exponent=exponent,
        )

    return real_value(call, finish, what=f"the probabilities of {call.name}", advice=_QUANTISE)
