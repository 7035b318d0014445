"""`AttentionScores`: queries times keys."""

from __future__ import annotations

import math
from fractions import Fraction

from ares.extract._attention import attention_product
from ares.extract._call import Call
from ares.extract._registry import on_module
from ares.extract._values import Value
from ares.ir import Tensor
from ares.nn.leaves import attention
from ares.ops.attention_scores import AttentionScores

_OPERANDS = (("q", "its queries"), ("k", "its keys"))


@on_module(attention.AttentionScores)
def attention_scores(call: Call) -> Value:
    def terms(queries: Tensor, keys: Tensor) -> tuple[Fraction, int]:
        depth = queries.shape[-1] // call.module.num_heads
        # The model's own number: the square root as float64 has it.
        factor = 1 / Fraction(math.sqrt(depth))
        return factor, depth * queries.largest_magnitude * keys.largest_magnitude

    return attention_product(call, AttentionScores, _OPERANDS, terms)
