"""Functions of one value and arithmetic with constants: part of what comes before, or one operation on codes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from ares.extract._call import Call
from ares.extract._channel_codes import channel_codes, left_by, waiting
from ares.extract._findings import Unmappable, reject
from ares.extract._masks import mask_of, masked
from ares.extract._repeats import widened
from ares.extract._scaled_codes import scaled_codes, times
from ares.extract._values import ChannelCodes, Codes, Real, Step, Unknown, Value
from ares.numerics import IDENTITY, Function, lookup_table
from ares.ops import KernelOperation
from ares.ops.relu import Relu
from ares.ops.requantize import Requantize


def apply_function(
    call: Call, function: Function, operation: type[KernelOperation], value: Value | None = None
) -> Value:
    """`function` of a value, by default the call's first argument; `operation` (field `table`) serves codes."""
    value = call.x if value is None else value
    if isinstance(value, Codes | ChannelCodes) and function.clips is not None:
        limited = _limited(call, function, value)
        if limited is not None:
            return limited
    real = _waiting(call, value, operation)
    return real.then(function) if isinstance(real, Real) else real


def _limited(
    call: Call, function: Function, value: Codes | ChannelCodes
) -> Codes | ChannelCodes | None:
    """Codes limited to some of their own grid, which stay codes; None where a limit lies between two of them."""
    source = call.builder.tensors[value.tensor]
    assert function.clips is not None
    one = (source.scale or 0.0,)
    scales = value.scales.values if isinstance(value, ChannelCodes) else one
    ends = []
    for limit, own in zip(function.clips, (source.lo, source.hi), strict=True):
        # A limit beyond all codes limits nothing.
        found = {
            Fraction(own)
            if limit is None
            else min(
                max(limit / Fraction(scale) + source.zero_point, Fraction(source.lo)),
                Fraction(source.hi),
            )
            for scale in scales
        }
        if len(found) > 1:
            return None
        ends.append(found.pop())
    lo, hi = ends
    if lo == source.lo and hi == source.hi:
        return value
    if lo.denominator != 1 or hi.denominator != 1 or not lo <= source.zero_point <= hi:
        return None
    like = replace(source, lo=int(lo), hi=int(hi))
    table = lookup_table(IDENTITY, source, like)
    tensor = call.add(Relu, (value.tensor,), like, table=table)
    if isinstance(value, ChannelCodes):
        return left_by(call, channel_codes(call, tensor, value.scales, value.quantizer))
    return Codes(tensor)


def apply_arithmetic(call: Call, value: Value, shape: tuple[int, ...], *steps: Step) -> Value:
    """Arithmetic of a value of that shape with constants, one after the other."""
    for step in steps:
        kept = mask_of(step.values) if step.kind == "add" else None
        if kept is not None:
            value = masked(call, value, kept, float(step.values[~kept].max()), added=True)
            continue
        if not np.isfinite(step.values).all():
            reject("its constant holds NaN or infinity", "train or load the model again")
        if step.kind == "div" and not step.values.all():
            reject("it divides by zero", "divide by numbers other than zero")
        wider = np.broadcast_shapes(step.values.shape, shape)
        if len(wider) != len(shape) or wider[0] != shape[0]:
            reject(
                f"its constant of shape {list(step.values.shape)} is larger than the tensor of shape {list(shape)}",
                "give the constant the tensor's shape, with 1 where it is repeated",
            )
        if not isinstance(value, Unknown):
            value, shape = widened(call, value, shape, wider), wider
        value = _stepped(call, value, shape, step)
    return value


def _stepped(call: Call, value: Value, shape: tuple[int, ...], step: Step) -> Value:
    # A factor for each code may be part of a rotation: what it is by itself is said later.
    codes = scaled_codes(call, value) if step.kind in ("mul", "div") else None
    real = _waiting(call, value, Requantize)
    if not isinstance(real, Real):
        return real
    try:
        found = real.scaled(step, shape)
    except Unmappable as error:
        if codes is None:
            raise
        return times(call, codes, step, error)
    return found if codes is None else times(call, codes, step, found)


def each_channel(call: Call, functions: list[Function], axis: int) -> Value:
    """A function of its own for every element along an axis of the call's first argument."""
    real = _waiting(call, call.x, Requantize)
    if not isinstance(real, Real):
        return real
    places = np.arange(len(functions)).reshape(
        [-1 if a == axis else 1 for a in range(len(call.out_shape))]
    )
    return real.then_each(functions, np.broadcast_to(places, call.out_shape))


def _waiting(call: Call, value: Value, operation: type[KernelOperation]) -> Real | Unknown:
    """A real value that waits for its quantiser: the given one, or codes that a table or an operation takes."""
    if not isinstance(value, Codes | ChannelCodes):
        if isinstance(value, Real | Unknown):
            return value
        reject("it computes with a constant of the model alone", "quantise the constant first")
    return waiting(call, value, operation)
