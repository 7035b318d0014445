"""Codes, each multiplied by a number of its own: no layer by themselves, but two of them may be a rotation.

`x * cos + rotate_half(x) * sin` is written with slices, a negated copy, a concatenation and two tables. Each step is
followed here by where its elements come from, until the sum shows whether it turns pairs of features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.extract._call import Call
from ares.extract._findings import Unmappable, reject
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import real_value
from ares.extract._values import Codes, Index, Real, Step, Value
from ares.ir import frozen_array
from ares.numerics import NumericsError, plan_rotation
from ares.ops import Site
from ares.ops._moves import ReshapeOperation
from ares.ops.permute import Permute
from ares.ops.reshape import Reshape
from ares.ops.rotary import Rotary
from ares.ops.slice import Slice

_ADVICE = "let a QuantIdentity follow the rotation x * cos + rotate_half(x) * sin"
_UNIT = 2**30


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scaled(Real):
    """Element i is `factor[i]` times element `index[i]` of the codes `root`, in PyTorch's order.

    `source`: the tensor that has these elements in place, "" where none does. `error`: why it is no value that waits
    for its quantiser, None where it is one.
    """

    source: str
    root: str
    index: Index
    factor: npt.NDArray[np.float64]
    error: Unmappable | None


def scaled_codes(call: Call, value: Value) -> Scaled | None:
    """`value` as such, None where it is none."""
    if isinstance(value, Scaled):
        return value
    if not isinstance(value, Codes):
        return None
    root, index = _places(call, value.tensor)
    one = np.broadcast_to(np.array(1.0), index.shape)
    plain = real_value(call, _nothing, shape=index.shape)
    return _with(plain, value.tensor, root, index, one, None)


def times(call: Call, scaled: Scaled, step: Step, real: Real | Unmappable) -> Scaled:
    """`scaled` with a factor behind it; `real`: the same as a value that waits for its quantiser, or why it is none."""
    factors = np.array([float(factor) for factor in step.terms()[0]]).reshape(step.values.shape)
    factor = scaled.factor * factors
    error = None
    if isinstance(real, Unmappable):
        error = scaled.error or real.at(call.name, call.layer_type)
        real = refused_later(call, error)
    return _with(real, scaled.source, scaled.root, scaled.index, factor, error)


def refused_later(call: Call, error: Unmappable) -> Real:
    """A real value that a quantiser, or the network's end, refuses with `error`."""

    def refuse(_: object) -> str:
        raise error

    what = f"the product {call.name} with a table"
    advice = error.suggestion
    return real_value(call, refuse, what=what, axes=(), expose=refuse, advice=advice)


def moved_codes(
    scaled: Scaled, back: Callable[[Index], Index | None], shape: tuple[int, ...], real: Real
) -> Real:
    """`real`, the same behind a move to `shape`, as scaled codes where the move only takes and orders elements."""
    size = int(np.prod(shape))
    places = back(np.arange(size).reshape(shape))
    if places is None or not np.array_equal(np.sort(places[places >= 0]), np.arange(size)):
        return real
    index, factor = np.zeros(size, np.int64), np.zeros(size)
    used = places >= 0
    index[places[used]] = scaled.index[used]
    factor[places[used]] = np.broadcast_to(scaled.factor, scaled.index.shape)[used]
    ordered = index.reshape(shape), factor.reshape(shape)
    return _with(real, "", scaled.root, *ordered, scaled.error)


def joined(call: Call, parts: tuple[Value, ...], axis: int, real: Real) -> Real:
    """`real`, the concatenation of the parts, as scaled codes where all parts are such of one tensor."""
    found = [scaled_codes(call, part) for part in parts]
    known = [part for part in found if part is not None and part.error is None]
    if len(known) < len(parts) or len({part.root for part in known}) > 1:
        return real
    index = np.concatenate([part.index for part in known], axis)
    factor = np.concatenate([part.factor for part in known], axis)
    return _with(real, "", known[0].root, index, factor, None)


def rotation(call: Call, first: Value, second: Value, sign: Fraction) -> Real | None:
    """first + sign * second where that rotates pairs of features; None where it does not.

    Raises what is wrong with a factor that is neither part of a rotation nor a value of its own.
    """
    if not isinstance(first, Scaled) or not isinstance(second, Scaled):
        parts = [part for part in (first, second) if isinstance(part, Scaled)]
    else:
        parts = [first, second]
        for plain, turned, weight in ((first, second, sign), (second, first, sign)):
            found = _turns(plain, turned, float(weight), swapped=plain is second)
            if found is not None:
                return _rotary(call, plain, *found)
    for part in parts:
        if part.error is not None:
            raise part.error
    return None


def _nothing(_: Quantizer) -> str:
    raise AssertionError("codes are no real value")


def _with(
    real: Real,
    source: str,
    root: str,
    index: Index,
    factor: npt.NDArray[np.float64],
    error: Unmappable | None,
) -> Scaled:
    own = {field.name: getattr(real, field.name) for field in fields(Real)}
    return Scaled(**own, source=source, root=root, index=index, factor=factor, error=error)


def _places(call: Call, tensor: str) -> tuple[str, Index]:
    """The codes that a tensor is a view of, and which of them its elements are."""
    tensors = call.builder.tensors
    makers = {operation.outputs[0]: operation for operation in call.builder.operations}
    chain = []
    while isinstance(makers.get(tensor), ReshapeOperation | Permute | Slice):
        chain.append(makers[tensor])
        tensor = makers[tensor].inputs[0]
    index: npt.NDArray[Any] = np.arange(tensors[tensor].size).reshape(tensors[tensor].shape)
    for operation in reversed(chain):
        site = Site((tensors[operation.inputs[0]],), (tensors[operation.outputs[0]],))
        (index,) = operation.reference(site, [index])
    return tensor, index


def _turns(
    plain: Scaled, turned: Scaled, weight: float, swapped: bool
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], bool] | None:
    """(cos, sin, halves) by element of the first of each pair; None where it is no rotation."""
    features = plain.index.shape[-1]
    if (
        not plain.source
        or plain.root != turned.root
        or plain.index.shape != turned.index.shape
        or features % 2
    ):
        return None
    cos = plain.factor * (weight if swapped else 1.0)
    sin = turned.factor * (1.0 if swapped else weight)
    half = features // 2
    for halves in (True, False):
        a, b = (
            (slice(0, half), slice(half, None))
            if halves
            else (slice(0, None, 2), slice(1, None, 2))
        )
        if (
            (turned.index[..., a] == plain.index[..., b]).all()
            and (turned.index[..., b] == plain.index[..., a]).all()
            and (cos[..., a] == cos[..., b]).all()
            and (sin[..., a] == -sin[..., b]).all()
        ):
            return cos[..., a], sin[..., b], halves
    return None


def _rotary(
    call: Call,
    plain: Scaled,
    cos: npt.NDArray[np.float64],
    sin: npt.NDArray[np.float64],
    halves: bool,
) -> Real:
    """The rotation as an operation on tokens [1, tokens, heads * features]."""
    shape = plain.index.shape
    axes = [axis for axis in range(1, len(shape) - 1) if _varies(cos, axis) or _varies(sin, axis)]
    if len(axes) > 1 or len(shape) < 3:
        reject(
            f"its angles depend on the axes {axes} of {list(shape)}",
            "rotate by tables [tokens, features], the same for all heads",
        )
    if max(np.abs(cos).max(), np.abs(sin).max()) > 1:
        reject(
            "its cos or sin is above one", "keep the tables as they are, and multiply the scores"
        )
    tokens = axes[0] if axes else len(shape) - 2
    others = [axis for axis in range(1, len(shape) - 1) if axis != tokens]
    order = (0, tokens, *others, len(shape) - 1)
    tables = {"cos": _table(cos, tokens), "sin": _table(sin, tokens), "halves": halves}

    def finish(quantizer: Quantizer) -> str:
        if not quantizer.only_limits:
            raise call.fault(f"{quantizer.function.name} is applied to what it rotates", _ADVICE)
        scale = Fraction(call.builder.tensors[plain.source].scale or 0)
        try:
            multiplier, shift = plan_rotation(scale / Fraction(quantizer.scale))
        except NumericsError as error:
            raise call.fault(str(error), "check the scales before and after it") from None
        constants = {**tables, "multiplier": multiplier, "shift": shift}
        return _by_tokens(call, plain.source, order, quantizer, constants)

    return real_value(call, finish, what=f"the rotation {call.name}", advice=_ADVICE)


def _by_tokens(
    call: Call,
    tensor: str,
    order: tuple[int, ...],
    quantizer: Quantizer,
    constants: Mapping[str, Any],
) -> str:
    """Adds the rotation of a tensor whose axes in `order` are [1, tokens, heads..., features]."""
    tensors = call.builder.tensors
    shape = tensors[tensor].shape
    ordered = tuple(shape[axis] for axis in order)
    in_order = order == tuple(range(len(shape)))
    if not in_order:
        name = f"{call.name}.ordered"
        tensor = call.add(Permute, (tensor,), tensors[tensor], name=name, axes=order)
    flat = (1, ordered[1], math.prod(ordered[2:]))
    name = f"{call.name}.tokens"
    tensor = call.add(Reshape, (tensor,), tensors[tensor], name=name, shape=flat)
    name = f"{call.name}.rotated"
    tensor = call.add(Rotary, (tensor,), quantizer, name=name, outer=1, inner=1, **constants)
    tensor = call.add(Reshape, (tensor,), tensors[tensor], shape=ordered)
    if in_order:
        return tensor
    back = tuple(int(axis) for axis in np.argsort(order))
    return call.add(Permute, (tensor,), tensors[tensor], axes=back)


def _varies(table: npt.NDArray[np.float64], axis: int) -> bool:
    return bool((table != table.take([0], axis)).any())


def _table(table: npt.NDArray[np.float64], tokens: int) -> npt.NDArray[np.int32]:
    """[tokens, pairs] in units of 2^-30."""
    rows = np.moveaxis(table, tokens, 0)
    first = rows.reshape(rows.shape[0], -1, rows.shape[-1])[:, 0]
    return frozen_array(np.rint(first * _UNIT), np.int32)
