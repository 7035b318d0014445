"""`AttentionContext`: values weighted by probabilities."""

from __future__ import annotations

from fractions import Fraction

from ares.extract._attention import attention_product
from ares.extract._call import Call
from ares.extract._registry import on_module
from ares.extract._values import Value
from ares.ir import Tensor
from ares.nn.leaves import attention
from ares.ops.attention_context import AttentionContext

_OPERANDS = (("weights", "its weights"), ("v", "its values"))


@on_module(attention.AttentionContext)
def attention_context(call: Call) -> Value:
    def terms(weights: Tensor, values: Tensor) -> tuple[Fraction, int]:
        keys = weights.shape[-1]
        return Fraction(1), keys * weights.largest_magnitude * values.largest_magnitude

    return attention_product(call, AttentionContext, _OPERANDS, terms)
