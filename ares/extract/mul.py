"""The product of two tensors of codes (`QuantMul`, `x * y`), or of a tensor and a positive number."""

from __future__ import annotations

import math
from fractions import Fraction

from ares.extract._call import Call
from ares.extract._elementwise import apply_function
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function
from ares.extract._values import Constant, Real, Unknown, Value
from ares.numerics import times
from ares.ops.mul import Mul
from ares.ops.requantize import Requantize

_ADVICE = "use ares.nn.QuantMul, which quantises the product"


@on_function("mul")
def mul(call: Call) -> Value:
    values = (call.argument(0, "input"), call.argument(1, "other"))
    if any(isinstance(value, Unknown) for value in values):
        return Unknown()
    if not all(isinstance(value, Value) for value in values):
        return _by_number(call, values[1])
    for value in values:
        if isinstance(value, Constant):
            reject(
                "it multiplies by a constant of the model",
                "fold the factor into the weights of the layer before or after it, or quantise it",
            )
    first, second = (
        call.codes(value, role)
        for value, role in zip(values, ("its first factor", "its second factor"), strict=True)
    )
    if call.tensor(first).size < call.tensor(second).size:
        first, second = second, first  # the operation repeats its second factor only
    sources = (call.tensor(first), call.tensor(second))
    ratio = Fraction(sources[0].scale or 0) * Fraction(sources[1].scale or 0)
    bound = sources[0].largest_magnitude * sources[1].largest_magnitude

    def finish(quantizer: Quantizer) -> str:
        return call.add(
            Mul,
            (first.tensor, second.tensor),
            quantizer,
            rescale=call.rescale(quantizer, [ratio], [Fraction(0)], bound),
        )

    return Real(f"the product {call.name}", finish, advice=_ADVICE)


def _by_number(call: Call, factor: object) -> Value:
    """A positive factor is a function like others: it joins what comes before, or becomes a table."""
    if not isinstance(factor, (int, float)) or not 0.0 < factor < math.inf:
        reject(
            f"it multiplies by {factor!r}",
            "fold the factor into the weights of the layer before or after it; of the network's input: "
            "do it before the network",
        )
    return apply_function(call, times(float(factor)), Requantize)
