"""Sums: of two tensors of codes (`QuantAdd`, `x + y`, `x - y`) with one rounding, of a tensor and a constant."""

from __future__ import annotations

import math
from fractions import Fraction

import brevitas.nn as qnn

from ares.extract._call import Call
from ares.extract._codes import codes_of, quantize, quantizer_of
from ares.extract._elementwise import apply_arithmetic
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function, on_module
from ares.extract._repeats import larger_first
from ares.extract._rescaling import real_value
from ares.extract._scaled_codes import rotation
from ares.extract._values import Step, Unknown, Value, as_constant
from ares.numerics import NumericsError, plan_sum
from ares.ops.add import Add

_ADVICE = "use ares.nn.QuantAdd, which quantises the sum"
_OPERANDS = (("input", 0), ("other", 1))


@on_function("add")
def add(call: Call) -> Value:
    return _sum(call, "add", 1)


@on_function("sub")
def sub(call: Call) -> Value:
    return _sum(call, "sub", -1)


@on_function("rsub")
def rsub(call: Call) -> Value:
    return _sum(call, "rsub", -1)


@on_module(qnn.QuantEltwiseAdd)
def quant_eltwise_add(call: Call) -> Value:
    """Both operands through one input quantiser, the sum through the output quantiser."""
    values = [call.argument(*operand) for operand in _OPERANDS]
    if any(isinstance(value, Unknown) for value in values):
        return Unknown()
    for place in (0, 1):
        quantizer = quantizer_of(call, call.module.input_quant)
        if quantizer is not None:
            name = f"{call.name}.input_quant" + (f"#{place}" if place else "")
            values[place] = quantize(call, values[place], quantizer, name=name)
    result = _of_codes(call, values[0], values[1], Fraction(1))
    output = quantizer_of(call, call.module.output_quant)
    return result if output is None else quantize(call, result, output)


def _sum(call: Call, kind: str, sign: int) -> Value:
    first, second = (call.argument(*operand) for operand in _OPERANDS)
    if isinstance(first, Unknown) or isinstance(second, Unknown):
        return Unknown()
    alpha = call.argument("alpha", 2, 1)
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        reject(f"its alpha is {alpha!r}", "give a finite Python number")
    constants = as_constant(first), as_constant(second)
    if constants[1] is not None and isinstance(first, Value):
        if kind == "rsub" and alpha != 1:
            reject("it subtracts with alpha from a constant", "multiply in a statement of its own")
        step = Step(kind, constants[1] * alpha)
        return apply_arithmetic(call, first, call.shape_of(*_OPERANDS[0]), step)
    if alpha != 1 and constants[0] is not None:
        reject("it adds to a constant with alpha", "multiply in a statement of its own")
    if constants[0] is not None and isinstance(second, Value):
        # c - x; of a sum the order does not matter.
        swapped = "add" if kind == "add" else {"sub": "rsub", "rsub": "sub"}[kind]
        step = Step(swapped, constants[0])
        return apply_arithmetic(call, second, call.shape_of(*_OPERANDS[1]), step)
    if not isinstance(first, Value) or not isinstance(second, Value):
        reject("it adds what is no tensor of real numbers", "give it a tensor or a Python number")
    operands = (second, first) if kind == "rsub" else (first, second)
    turned = rotation(call, *operands, sign * Fraction(alpha))
    if turned is not None:
        return turned
    return _of_codes(call, *operands, sign * Fraction(alpha))


def _of_codes(call: Call, first: Value, second: Value, weight: Fraction) -> Value:
    """first + weight * second."""
    roles = ("its first operand", "its second operand")
    codes = [
        codes_of(call, value, role) for value, role in zip((first, second), roles, strict=True)
    ]
    weights = [Fraction(1), weight]
    *codes, swapped = larger_first(call, *codes)
    if swapped:
        weights.reverse()
    sources = [call.tensor(value) for value in codes]

    def finish(quantizer: Quantizer) -> str:
        ratios = [
            weight * Fraction(source.scale or 0)
            for weight, source in zip(weights, sources, strict=True)
        ]
        zero_points = [source.zero_point for source in sources]
        try:
            coefficients, rescale = plan_sum(
                quantizer.pointwise, ratios, zero_points, quantizer.tensor()
            )
        except NumericsError as error:
            raise call.fault(str(error), "check the scales of both operands") from None
        names = tuple(value.tensor for value in codes)
        return call.add(Add, names, quantizer, coefficients=coefficients, rescale=rescale)

    return real_value(call, finish, what=f"the sum {call.name}", axes=(), advice=_ADVICE)
