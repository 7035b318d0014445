"""The sum of two tensors of codes (`QuantAdd`, `x + y`): no rounding before the quantiser's."""

from __future__ import annotations

from fractions import Fraction

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function
from ares.extract._values import Real, Unknown, Value
from ares.numerics import IDENTITY, RELU, NumericsError, plan_weighted_sum
from ares.ops.add import Add

_ADVICE = "use ares.nn.QuantAdd, which quantises the sum"


@on_function("add")
def add(call: Call) -> Value:
    values = (call.argument(0, "input"), call.argument(1, "other"))
    if any(isinstance(value, Unknown) for value in values):
        return Unknown()
    if not all(isinstance(value, Value) for value in values):
        reject("it adds a number to a tensor", "let the layer before it have a bias instead")
    if call.argument(2, "alpha", 1) != 1:
        reject("it adds with alpha", "scale the operand in the layer before it")
    first, second = (
        call.codes(value, role)
        for value, role in zip(values, ("its first operand", "its second operand"), strict=True)
    )
    if call.tensor(first).size < call.tensor(second).size:
        first, second = second, first  # the operation repeats its second operand only
    sources = (call.tensor(first), call.tensor(second))

    def finish(quantizer: Quantizer) -> str:
        if quantizer.function not in (IDENTITY, RELU):
            raise call.fault(f"{quantizer.function.name} is applied to its sum", _ADVICE)
        lo = (
            quantizer.lo
            if quantizer.function is IDENTITY
            else max(quantizer.lo, quantizer.zero_point)
        )
        ratios = [Fraction(source.scale or 0) / Fraction(quantizer.scale) for source in sources]
        zero_points = [source.zero_point for source in sources]
        try:
            coefficients, rescale = plan_weighted_sum(
                ratios, zero_points, quantizer.zero_point, lo, quantizer.hi
            )
        except NumericsError as error:
            raise call.fault(str(error), "check the scales of both operands") from None
        return call.add(
            Add,
            (first.tensor, second.tensor),
            quantizer,
            coefficients=coefficients,
            rescale=rescale,
        )

    return Real(f"the sum {call.name}", finish, advice=_ADVICE)
