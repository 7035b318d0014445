"""Functions of one value and arithmetic with constants: part of what comes before, or one operation on codes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._values import Codes, Real, Step, Unknown, Value
from ares.numerics import IDENTITY, Function, lookup_table
from ares.ops import KernelOperation
from ares.ops.batch_norm import BatchNorm
from ares.ops.relu import Relu
from ares.ops.requantize import Requantize


def apply_function(
    call: Call, function: Function, operation: type[KernelOperation], value: Value | None = None
) -> Value:
    """`function` of a value, by default the call's first argument; `operation` (field `table`) serves codes."""
    value = call.x if value is None else value
    if isinstance(value, Codes) and function.clips is not None:
        limited = _limited(call, function, value)
        if limited is not None:
            return limited
    waiting = _waiting(call, value, operation)
    return waiting.then(function) if isinstance(waiting, Real) else waiting


def _limited(call: Call, function: Function, value: Codes) -> Codes | None:
    """Codes limited to some of their own grid, which stay codes; None where a limit lies between two of them."""
    source = call.tensor(value)
    assert function.clips is not None
    ends = []
    for limit, own in zip(function.clips, (source.lo, source.hi), strict=True):
        end = own if limit is None else limit / Fraction(source.scale or 0) + source.zero_point
        # A limit beyond all codes limits nothing.
        ends.append(Fraction(min(max(end, source.lo), source.hi)))
    lo, hi = ends
    if lo == source.lo and hi == source.hi:
        return value
    if lo.denominator != 1 or hi.denominator != 1 or not lo <= source.zero_point <= hi:
        return None
    like = replace(source, lo=int(lo), hi=int(hi))
    table = lookup_table(IDENTITY, source, like)
    return Codes(call.add(Relu, (value.tensor,), like, table=table))


def apply_arithmetic(call: Call, value: Value, shape: tuple[int, ...], *steps: Step) -> Value:
    """Arithmetic of a value of that shape with constants, one after the other."""
    for step in steps:
        if not np.isfinite(step.values).all():
            reject("its constant holds NaN or infinity", "train or load the model again")
        if step.kind == "div" and not step.values.all():
            reject("it divides by zero", "divide by numbers other than zero")
        if np.broadcast_shapes(step.values.shape, shape) != shape:
            reject(
                f"its constant of shape {list(step.values.shape)} is larger than the tensor of shape {list(shape)}",
                "give the constant the tensor's shape, with 1 where it is repeated",
            )
        waiting = _waiting(call, value, Requantize)
        if not isinstance(waiting, Real):
            return waiting
        value = waiting.scaled(step, shape)
    return value


def each_channel(call: Call, functions: list[Function], axis: int) -> Value:
    """A function of its own for every element along an axis of the call's first argument."""
    waiting = _waiting(call, call.x, Requantize)
    if not isinstance(waiting, Real):
        return waiting
    places = np.arange(len(functions)).reshape(
        [-1 if a == axis else 1 for a in range(len(call.out_shape))]
    )
    return waiting.then_each(functions, np.broadcast_to(places, call.out_shape))


def _waiting(call: Call, value: Value, operation: type[KernelOperation]) -> Real | Unknown:
    """A real value that waits for its quantiser: the given one, or codes that a table or an operation takes."""
    if isinstance(value, Real | Unknown):
        return value
    if not isinstance(value, Codes):
        reject("it computes with a constant of the model alone", "quantise the constant first")
    codes, source = value.tensor, call.tensor(value)

    def finish(quantizer: Quantizer) -> str:
        pointwise = quantizer.pointwise
        if pointwise.channels == 1:
            (function,), (factor,), (addend,) = (
                pointwise.functions,
                pointwise.factors,
                pointwise.addends,
            )
            table = lookup_table(function, source, quantizer.tensor(), factor, addend)
            return call.add(operation, (codes,), quantizer, table=table)
        rescale = call.rescale(
            quantizer, [Fraction(source.scale or 0)], [Fraction(0)], source.largest_magnitude
        )
        return call.add(BatchNorm, (codes,), quantizer, axis=quantizer.axis, rescale=rescale)

    axes = tuple(range(1, len(source.shape)))
    return call.real(finish, shape=source.shape, axes=axes)
