"""What the two products of attention have in common: two operands of codes, groups, heads, a quantiser."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ares.extract._call import Call
from ares.extract._codes import codes_of, quantize, quantizer_of
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import real_value, rescale_for
from ares.extract._values import Codes, Unknown, Value
from ares.ir import Tensor
from ares.ops import KernelOperation


def attention_product(
    call: Call,
    operation: type[KernelOperation],
    operands: tuple[tuple[str, str], tuple[str, str]],
    terms: Callable[[Tensor, Tensor], tuple[Fraction, int]],
) -> Value:
    """`operation` on the call's two arguments, each given by its name and its role in messages.

    `terms` gives the real value of a step times a step, less the two scales, and the accumulator's bound.
    """
    module = call.module
    values = [call.argument(name, position) for position, (name, _) in enumerate(operands)]
    quantizer = quantizer_of(call, module.quant.act_quant)
    if any(isinstance(value, Unknown) for value in values):
        return Unknown()
    first, second = (
        codes_of(call, value, role) for value, (_, role) in zip(values, operands, strict=True)
    )
    left, right = call.tensor(first), call.tensor(second)
    factor, bound = terms(left, right)
    ratio = factor * Fraction(left.scale or 0) * Fraction(right.scale or 0)

    def finish(known: Quantizer) -> str:
        return call.add(
            operation,
            (first.tensor, second.tensor),
            known,
            num_heads=module.num_heads,
            num_kv_heads=module.num_kv_heads,
            outer=module.outer,
            inner=module.inner,
            shared=module.shared_queries,
            rescale=rescale_for(call, known, [ratio], [Fraction(0)], bound),
        )

    product = real_value(call, finish, axes=())
    return product if quantizer is None else Codes(quantize(call, product, quantizer).tensor)
