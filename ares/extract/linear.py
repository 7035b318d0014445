"""QuantLinear: one fused operation once its quantiser is known, or binary32 logits at the network's end."""

from __future__ import annotations

from functools import cache

import brevitas.nn as qnn

from ares.extract._affine import affine_input, affine_result, read_affine
from ares.extract._call import Call
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._rescaling import rescale_for
from ares.extract._summing import of_tokens
from ares.extract._values import Unknown, Value
from ares.extract.conv_sum import summed_by
from ares.extract.linear_fp32 import add_logits
from ares.numerics import Pointwise
from ares.ops.linear import Linear


@on_module(qnn.QuantLinear)
def linear(call: Call) -> Value:
    source = affine_input(call)
    if isinstance(source, Unknown):
        return source
    tensor = call.tensor(source)
    affine = read_affine(call, tensor)

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = affine.rescale_terms(tensor)
        return call.add(
            Linear,
            (source.tensor,),
            quantizer,
            weight=affine.weight,
            rescale=rescale_for(call, quantizer, ratios, biases, affine.bound(tensor)),
        )

    @cache
    def expose(pointwise: Pointwise) -> str:
        return add_logits(call, source, affine, pointwise)

    rank = len(tensor.shape)
    summed = summed_by(call, source.tensor, affine, of_tokens(rank)) if rank in (3, 4) else None
    return affine_result(call, finish, axis=-1, expose=expose, summed=summed)
