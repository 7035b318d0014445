"""`Rotary`: pairs of features rotated by their token's position."""

from __future__ import annotations

from fractions import Fraction

from ares.extract._call import Call
from ares.extract._codes import codes_of, quantize, quantizer_of
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._rescaling import real_value
from ares.extract._values import Unknown, Value
from ares.nn.leaves import attention
from ares.numerics import NumericsError, plan_rotation, rotation_tables
from ares.ops.rotary import Rotary

_ADVICE = "let a QuantIdentity follow it"


@on_module(attention.Rotary)
def rotary(call: Call) -> Value:
    module = call.module
    value = call.x
    output = quantizer_of(call, module.quant.act_quant)
    if isinstance(value, Unknown):
        return value
    source = codes_of(call, value)
    tensor = call.tensor(source)
    length = tensor.shape[1] // (module.outer * module.inner)

    def finish(quantizer: Quantizer) -> str:
        if not quantizer.only_limits:
            raise call.fault(f"{quantizer.function.name} is applied to what it rotates", _ADVICE)
        cos, sin = rotation_tables(length, module.head_dim, module.base)
        try:
            multiplier, shift = plan_rotation(
                Fraction(tensor.scale or 0) / Fraction(quantizer.scale)
            )
        except NumericsError as error:
            raise call.fault(str(error), "check the scales before and after it") from None
        return call.add(
            Rotary,
            (source.tensor,),
            quantizer,
            outer=module.outer,
            inner=module.inner,
            cos=cos,
            sin=sin,
            multiplier=multiplier,
            shift=shift,
            halves=not module.interleaved,
        )

    rotated = real_value(call, finish, advice=_ADVICE)
    return rotated if output is None else quantize(call, rotated, output)
