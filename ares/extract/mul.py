"""Products: of two tensors of codes (`QuantMul`, `x * y`) with one rounding, of a tensor and a constant."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._elementwise import apply_arithmetic
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function
from ares.extract._repeats import larger_first
from ares.extract._rescaling import real_value, rescale_for
from ares.extract._values import Step, Unknown, Value, as_constant
from ares.ops.mul import Mul

_ADVICE = "use ares.nn.QuantMul, which quantises the product"
_OPERANDS = (("input", 0), ("other", 1))


@on_function("mul")
def mul(call: Call) -> Value:
    first, second = (call.argument(*operand) for operand in _OPERANDS)
    if isinstance(first, Unknown) or isinstance(second, Unknown):
        return Unknown()
    constants = as_constant(first), as_constant(second)
    if constants[1] is not None and isinstance(first, Value):
        return apply_arithmetic(
            call, first, call.shape_of(*_OPERANDS[0]), Step("mul", constants[1])
        )
    if constants[0] is not None and isinstance(second, Value):
        step = Step("mul", constants[0])
        return apply_arithmetic(call, second, call.shape_of(*_OPERANDS[1]), step)
    return _of_codes(call, first, second)


@on_function("square", "pow")
def square(call: Call) -> Value:
    value = call.x
    if isinstance(value, Unknown):
        return value
    exponent = call.argument("exponent", 1, 2)
    if isinstance(exponent, Value) or exponent != 2:
        found = "a tensor" if isinstance(exponent, Value) else exponent
        reject(
            f"its exponent is {found}",
            "only squares can be mapped: write others as products, x * x * x",
        )
    return _of_codes(call, value, value)


@on_function("div")
def div(call: Call) -> Value:
    divisor = as_constant(call.argument("other", 1))
    if call.argument("rounding_mode", 2) is not None:
        reject("it divides with a rounding mode", "divide without one: the next quantiser rounds")
    if divisor is None:
        return _no_division(call.argument("other", 1))
    return apply_arithmetic(call, call.x, call.shape_of("input", 0), Step("div", divisor))


@on_function("rdiv")
def rdiv(call: Call) -> Value:
    return _no_division(call.x)


@on_function("neg")
def neg(call: Call) -> Value:
    step = Step("mul", np.array(-1.0))
    return apply_arithmetic(call, call.x, call.shape_of("input", 0), step)


def _no_division(divisor: object) -> Value:
    if isinstance(divisor, Unknown):
        return divisor
    return reject("it divides by a tensor of the network", "divide by constants only")


def _of_codes(call: Call, first: Any, second: Any) -> Value:
    if not isinstance(first, Value) or not isinstance(second, Value):
        reject("it multiplies by what is no tensor of real numbers", "use a tensor or a number")
    roles = ("its first factor", "its second factor")
    factors = (
        codes_of(call, value, role) for value, role in zip((first, second), roles, strict=True)
    )
    *codes, _ = larger_first(call, *factors)
    sources = [call.tensor(value) for value in codes]
    ratio = Fraction(sources[0].scale or 0) * Fraction(sources[1].scale or 0)
    bound = sources[0].largest_magnitude * sources[1].largest_magnitude

    def finish(quantizer: Quantizer) -> str:
        return call.add(
            Mul,
            tuple(value.tensor for value in codes),
            quantizer,
            rescale=rescale_for(call, quantizer, [ratio], [Fraction(0)], bound),
        )

    return real_value(call, finish, what=f"the product {call.name}", axes=(), advice=_ADVICE)
