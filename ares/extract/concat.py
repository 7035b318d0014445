"""Concatenation (`QuantConcatenate`, `torch.cat`, `torch.stack`): codes as they are where grids agree, else tables."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.extract._arranged import arranged
from ares.extract._call import Call
from ares.extract._channel_codes import waiting
from ares.extract._findings import reject
from ares.extract._geometry import axis_of
from ares.extract._inner_calls import Seen, inner_call
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function
from ares.extract._repeats import expanded, interleaved, repeated, rolled
from ares.extract._rescaling import real_value
from ares.extract._scaled_codes import Scaled, joined, moved_codes
from ares.extract._values import Codes, Constant, Move, Real, Unknown, Value
from ares.extract.constant import quantized_constant
from ares.ir import Tensor, frozen_array
from ares.numerics import IDENTITY, PLAIN, Function, Pointwise, lookup_table
from ares.ops.concat import Concat
from ares.ops.requantize import Requantize
from ares.ops.squeeze import Squeeze

_ADVICE = "use ares.nn.QuantConcatenate, which brings its parts to one scale"


@on_function("cat")
def concat(call: Call) -> Value:
    return _joined(call, tuple(call.argument("tensors", 0)))


on_function("expand", "expand_as", "broadcast_to")(expanded)
on_function("repeat", "tile")(repeated)
on_function("repeat_interleave")(interleaved)
on_function("roll")(rolled)


@on_function("stack")
def stack(call: Call) -> Value:
    return _stacked(call)


def _stacked(call: Call) -> Value:
    """A concatenation of the parts, each with the new axis, of one element.

    A new axis in front of the batch is one behind it, seen in another order.
    """
    axis = axis_of(int(call.argument("dim", 1, 0)), len(call.out_shape))
    if axis == 0 and len(call.out_shape) > 1 and call.out_shape[1] == 1:
        return _stacked_in_front(call)
    part_shape = tuple(size for place, size in enumerate(call.out_shape) if place != axis)
    parts: tuple[Value, ...] = tuple(call.argument("tensors", 0))
    return _joined(
        call,
        tuple(_with_axis(call, part, axis, part_shape, place) for place, part in enumerate(parts)),
    )


def _stacked_in_front(call: Call) -> Value:
    count, batch, *others = call.out_shape
    parts = tuple(Seen(part, (batch, *others)) for part in call.argument("tensors", 0))
    shape = (batch, count, *others)
    whole = _stacked(inner_call(call, call.name, "stack", (parts, 1), {}, shape))
    return arranged(call, whole, (1, 0, *range(2, len(shape))))


def _with_axis(call: Call, part: Value, axis: int, shape: tuple[int, ...], place: int) -> Value:
    """A part of that shape with an axis of one element more."""
    wider = (*shape[:axis], 1, *shape[axis:])

    def add(tensor: str) -> str:
        source = call.builder.tensors[tensor]
        return call.add(Squeeze, (tensor,), source, name=f"{call.name}.{place}", shape=wider)

    if isinstance(part, Codes):
        return Codes(add(part.tensor))
    if isinstance(part, Real):
        move = Move(add, lambda index: index.reshape(shape))
        moved = part.moved(move)
        return moved_codes(part, move.back, wider, moved) if isinstance(part, Scaled) else moved
    if isinstance(part, Constant) and part.array is not None:
        return replace(part, array=part.array.reshape(wider))
    return part


def _joined(call: Call, parts: tuple[Value, ...]) -> Value:
    if any(isinstance(part, Unknown) for part in parts):
        return Unknown()
    if all(isinstance(part, Constant) for part in parts):
        reject("it concatenates constants of the model only", "quantise what it gives")
    axis = axis_of(int(call.argument("dim", 1, 0)), len(call.out_shape))
    if axis == 0:
        reject("it concatenates along the batch", "concatenate along another dimension")
    codes = [call.tensor(part) for part in parts if isinstance(part, Codes)]
    if len(codes) == len(parts) and len({_grid(tensor) for tensor in codes}) == 1:
        lo, hi = min(tensor.lo for tensor in codes), max(tensor.hi for tensor in codes)
        like = replace(codes[0], lo=lo, hi=hi)
        plain = tuple(frozen_array([], np.uint8) for _ in codes)
        names = tuple(tensor.name for tensor in codes)
        return Codes(call.add(Concat, names, like, axis=axis, tables=plain))

    def finish(quantizer: Quantizer) -> str:
        if not quantizer.pointwise.is_function:
            return _joined_scaled(call, parts, axis, quantizer)
        known = {part: _part(call, part, quantizer) for part in dict.fromkeys(parts)}
        names = tuple(known[part] for part in parts)
        tables = tuple(
            _table(call.builder.tensors[name], quantizer, isinstance(part, Codes))
            for name, part in zip(names, parts, strict=True)
        )
        return call.add(Concat, names, quantizer, axis=axis, tables=tables)

    @cache
    def expose(_: Pointwise) -> str:
        names = tuple(part.exposed() or "" for part in parts if isinstance(part, Real))
        tables = tuple(frozen_array([], np.uint8) for _ in names)
        return call.add(Concat, names, None, axis=axis, tables=tables)

    what = f"the concatenation {call.name} of different scales"
    leaves = expose if all(_can_leave(part) for part in parts) else None
    axes = (
        None if any(isinstance(part, Constant) for part in parts) else range(1, len(call.out_shape))
    )
    real = real_value(call, finish, what=what, axes=axes, expose=leaves, advice=_ADVICE)
    return joined(call, parts, axis, real)


def _joined_scaled(call: Call, parts: tuple[Value, ...], axis: int, quantizer: Quantizer) -> str:
    """The concatenation where factors stand before the quantiser: each part is rounded by itself, with its own."""
    channels = axis if quantizer.axis is None else quantizer.axis
    names, start = [], 0
    alone = replace(quantizer, function=IDENTITY, pointwise=PLAIN, axis=None)
    for number, part in enumerate(parts):
        real = (
            waiting(call, part, Requantize, f"{call.name}.{number}")
            if isinstance(part, Codes)
            else part
        )
        assert isinstance(real, Real)
        ref = call.node.refs[number]
        own = call.context.outputs[ref.node][ref.index].shape
        shape = list(call.out_shape)
        shape[axis] = own[axis] if len(own) == len(shape) else 1  # stacked: an axis of one element
        first = start if channels == axis else 0
        along = [1] * len(shape)
        along[channels] = -1
        index = np.arange(first, first + shape[channels]).reshape(along)
        names.append(
            real.behind(quantizer.pointwise, np.broadcast_to(index, shape)).quantized(alone)
        )
        start += shape[axis]
    tables = tuple(frozen_array([], np.uint8) for _ in names)
    return call.add(Concat, tuple(names), alone, axis=axis, tables=tables)


def _can_leave(part: Value) -> bool:
    """Whether it can be an output of the network in binary32, alone or beside others."""
    if not isinstance(part, Real) or part.expose is None:
        return False
    return part.pointwise.function is IDENTITY


def _grid(tensor: Tensor) -> tuple[object, ...]:
    return (tensor.dtype, tensor.scale, tensor.zero_point)


def _part(call: Call, part: Value, quantizer: Quantizer) -> str:
    """A part's codes: its own, or those that the quantiser makes of a real one or of a constant."""
    if isinstance(part, Codes):
        return part.tensor
    if isinstance(part, Constant):
        return quantized_constant(call, part, quantizer)
    assert isinstance(part, Real)
    return part.quantized(quantizer)


def _table(tensor: Tensor, quantizer: Quantizer, own_grid: bool) -> npt.NDArray[Any]:
    function: Function = quantizer.function if own_grid else IDENTITY
    if function is IDENTITY and quantizer.keeps(tensor):
        return frozen_array([], np.uint8)
    return lookup_table(function, tensor, quantizer.tensor())
