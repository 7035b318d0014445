"""Values whose batch is not the first axis in the model: permuted there, or one axis with the next.

`qkv.permute(2, 0, 3, 1, 4)`, tokens [tokens, batch, features], heads that are one axis with the batch. Here the batch
stays first: such a value is remembered as one with its batch first and how the model has its axes. What works on
elements, on the last axes or on places is done to the former; everything else refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from brevitas.nn import QuantEltwiseAdd, QuantLinear
from brevitas.nn.quant_layer import QuantNonLinearActLayer
from torch import nn

from ares.capture import Ref
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._functions import function_of
from ares.extract._geometry import axis_of, flat_arguments
from ares.extract._inner_calls import Seen, inner_call, note_axes, quantizer_events
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import real_value
from ares.extract._values import ChannelCodes, Codes, Constant, Real, Unknown, Value
from ares.numerics import Pointwise

Shape = tuple[int, ...]
Detector = Callable[[Call], Value | tuple[Value, ...]]
Find = Callable[[str], Detector | None]

_OVER_AXES = ("amax", "max", "cat", "stack")
_ADVICE = "bring the batch back to the front before it, as a dimension of its own"
_ELEMENTS = frozenset(
    (
        *("add", "sub", "rsub", "mul", "div", "neg", "relu"),
        *("relu6", "gelu", "silu", "sigmoid", "tanh", "hardtanh", "hardsigmoid"),
        *("hardswish", "leaky_relu", "elu", "selu", "celu", "mish", "softplus"),
        *("softsign", "logsigmoid", "clamp", "dropout", "contiguous", "clone", "detach"),
        *("alias", "float", "double", "to", "type_as", "positive", "rename"),
        *("data", "masked_fill", "where", "round", "type"),
    )
)
_LAST_AXIS = frozenset({"softmax", "layer_norm", "rms_norm"})
_PRODUCTS = frozenset({"matmul", "bmm", "baddbmm"})


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Arranged(Real):
    """`inner`, batch first, as the model has it: its axes in `order`; without 0 the batch is one axis with axis 1."""

    inner: Value
    order: Shape

    @property
    def is_joined(self) -> bool:
        return 0 not in self.order

    @property
    def is_row(self) -> bool:
        """Whether the batch is one axis with the next, and all are in order."""
        return self.order == _row(len(self.order))

    def inner_shape(self, shape: Shape) -> Shape:
        """The inner shape of what has `shape` in the model."""
        sizes = dict(zip(self.order, shape, strict=True))
        return (sizes.pop(0, 1), *(sizes[axis] for axis in sorted(sizes)))


def _row(rank: int) -> Shape:
    """The order of the axes where the batch is one with the first."""
    return tuple(range(1, rank + 1))


def arranged(call: Call, inner: Value, order: Shape, number: int = 0) -> Value:
    """`inner`, as the call gives it as its result of that number."""
    if isinstance(inner, Unknown) or order == tuple(range(len(order))):
        return inner
    what = "a tensor whose batch is not its first dimension"

    def finish(_: Quantizer) -> str:
        raise call.fault(f"it gives {what}, and that is quantised", _ADVICE)

    def expose(_: Pointwise) -> str:
        raise call.fault(f"the network's output is {what}", _ADVICE)

    shape = call.node.outputs[number].shape
    plain = real_value(call, finish, what=what, shape=shape, axes=(), expose=expose, advice=_ADVICE)
    own = {field.name: getattr(plain, field.name) for field in fields(Real)}
    return Arranged(**own, inner=inner, order=order)


def lifted(name: str, detector: Detector, find: Find, call: Call) -> Value | tuple[Value, ...]:
    """What the call makes of arranged arguments, where it can be done to them with their batch first.

    `detector` is the call's own, `find` has those of functions by name.
    """
    found = [value for value in _values(call) if isinstance(value, Arranged)]
    if not found:
        return detector(call)
    if any(isinstance(value, Unknown) for value in _values(call)):
        return Unknown()
    first = found[0]
    if any(value.order != first.order for value in found):
        reject("its operands have their batch in different places", _ADVICE)
    if name in _MOVES and first is call.args[0]:
        return _MOVES[name](call, find, first)
    last = first.order[-1] == max(first.order)
    elements, last_axis, products = _kind(name, call.node.module)
    if elements or (last_axis and last) or (products and first.is_row):
        return _done_inside(call, detector, find, first)
    if name in _OVER_AXES:
        reject("it works along axes of a tensor whose batch is not its first dimension", _ADVICE)
    return detector(call)


def _kind(name: str, module: nn.Module | None) -> tuple[bool, bool, bool]:
    """Whether the call is about elements, about the last axis, a product along the last axes."""
    if module is None:
        return name in _ELEMENTS, name in _LAST_AXIS, name in _PRODUCTS
    elements = isinstance(module, (nn.Dropout, QuantEltwiseAdd)) or (
        isinstance(module, QuantNonLinearActLayer) or function_of(module) is not None
    )
    one = isinstance(module, (nn.LayerNorm, nn.RMSNorm)) and len(module.normalized_shape) == 1
    return (
        elements and not isinstance(module, nn.PReLU),
        one or isinstance(module, (QuantLinear, nn.Softmax)),
        False,
    )


def _done_inside(call: Call, detector: Detector, find: Find, like: Arranged) -> Value:
    """The call on inner values; its result is arranged as they are."""
    args = tuple(
        _inside(call, find, arg, given, like)
        for arg, given in zip(call.args, call.node.args, strict=True)
    )
    kwargs = {
        key: _inside(call, find, arg, call.node.kwargs[key], like)
        for key, arg in call.kwargs.items()
    }
    shape = like.inner_shape(call.out_shape)
    if call.node.function == "softmax":
        dim = axis_of(call.argument("dim", 1), len(call.out_shape))
        if dim != len(call.out_shape) - 1:
            reject(f"it runs over dim={dim} of {list(call.out_shape)}", "use the last one: dim=-1")
        args, kwargs = args[:1], {"dim": -1}
    inner = inner_call(call, call.name, call.node.function, args, kwargs, shape)
    if call.node.module is not None:
        module, path = call.node.module, call.node.path
        node = replace(inner.node, kind="module", module=module, path=path)
        inner = replace(inner, layer_type=call.layer_type, node=node)
    before = quantizer_events(call)
    value = detector(inner)
    note_axes(call, before, {}, ",".join(map(str, like.order)))
    assert isinstance(value, Value)
    if isinstance(value, ChannelCodes):
        reject("its quantiser has a scale for each channel", _ADVICE)
    return arranged(call, value, like.order)


def _inside(call: Call, find: Find, arg: Any, given: Any, like: Arranged) -> Any:
    """An argument as it is with its batch first."""
    if isinstance(arg, Arranged):
        return Seen(arg.inner, like.inner_shape(arg.shape))
    if isinstance(arg, Constant) and arg.array is not None:
        rank = len(call.out_shape)
        whole = arg.array.reshape((1,) * (rank - arg.array.ndim) + arg.array.shape)
        array = whole.transpose(np.argsort(like.order))
        array = array[None] if like.is_joined else array
        return Seen(Constant("", array), array.shape)
    if isinstance(arg, (Codes, Real)):
        assert isinstance(given, Ref)
        shape = call.context.outputs[given.node][given.index].shape
        if like.is_row and len(shape) == len(call.out_shape) and shape[0] == 1:
            # One for all: a table that a quantiser made codes of.
            wider = (1, *shape)
            return Seen(_function(call, find, "reshape", (Seen(arg, shape), wider), wider), wider)
        reject("its operands have their batch in different places", _ADVICE)
    return arg


def _values(call: Call) -> Iterator[Value]:
    for arg in (*call.args, *call.kwargs.values()):
        for item in arg if isinstance(arg, (tuple, list)) else (arg,):
            if isinstance(item, Value):
                yield item


def _permute(call: Call, find: Find, value: Arranged) -> Value:
    rank = len(call.out_shape)
    axes = list(range(rank))
    if call.node.function == "permute":
        dims = call.kwargs.get("dims", flat_arguments(call.args[1:]))
        axes = [axis_of(int(dim), rank) for dim in dims]
    else:
        pair = (-2, -1)
        if call.node.function == "transpose":
            pair = (int(call.argument("dim0", 1)), int(call.argument("dim1", 2)))
        first, second = (axis_of(dim, rank) for dim in pair)
        axes[first], axes[second] = second, first
    whole = Seen(value.inner, value.inner_shape(value.shape))
    return _in_order(call, find, whole, tuple(value.order[axis] for axis in axes))


def _reshape(call: Call, find: Find, value: Arranged) -> Value:
    shape, before = call.out_shape, value.inner_shape(value.shape)
    if value.is_row:
        # The batch is its own axis again, or still one with the first.
        whole = shape if shape[0] == 1 else (1, *shape)
        inner = _function(call, find, "reshape", (Seen(value.inner, before), whole), whole)
        return inner if shape[0] == 1 else arranged(call, inner, _row(len(shape)))
    tokens, batch = value.shape[:2]
    if value.order[:2] != (1, 0) or shape[:2] != (tokens, batch):
        reject(f"it views {list(value.shape)} as {list(shape)}", _ADVICE)
    order = (0, 1, *value.order[2:])
    inner = _in_order(call, find, Seen(value.inner, before), order)
    whole = (batch, tokens, *shape[2:])
    ordered = Seen(inner, tuple(before[axis] for axis in order))
    return arranged(
        call,
        _function(call, find, "reshape", (ordered, whole), whole),
        (1, 0, *range(2, len(shape))),
    )


def _select(call: Call, find: Find, value: Arranged) -> Value:
    dim = axis_of(int(call.argument("dim", 1)), len(value.shape))
    return _taken(call, find, value, dim, int(call.argument("index", 2)))


def _unbind(call: Call, find: Find, value: Arranged) -> tuple[Value, ...]:
    dim = axis_of(int(call.argument("dim", 1, 0)), len(value.shape))
    return tuple(_taken(call, find, value, dim, index) for index in range(value.shape[dim]))


def _split(call: Call, find: Find, value: Arranged) -> tuple[Value, ...]:
    dim = axis_of(int(call.argument("dim", 2, 0)), len(value.shape))
    axis = _axis(value, dim)
    shapes = [value.inner_shape(output.shape) for output in call.node.outputs]
    whole = Seen(value.inner, value.inner_shape(value.shape))
    detector = find("chunk")
    assert detector is not None
    args = (whole, len(shapes), axis)
    parts = detector(inner_call(call, call.name, "chunk", args, {}, *shapes))
    assert isinstance(parts, tuple)
    return tuple(arranged(call, part, value.order, i) for i, part in enumerate(parts))


def _reduced(call: Call, find: Find, value: Arranged) -> Value:
    """The mean or the sum over dimensions of the model, the batch none of them."""
    dims = call.argument("dim", 1)
    if not isinstance(dims, (int, tuple, list)) or dims in ((), []):
        reject("it goes over everything, the batch included", "give the dimensions: mean(dim=...)")
    rank = len(value.shape)
    chosen = {axis_of(int(d), rank) for d in (dims if isinstance(dims, (tuple, list)) else (dims,))}
    axes = sorted(value.order[dim] for dim in chosen)
    if value.is_joined or axes[0] == 0:
        reject("it works along axes of a tensor whose batch is not its first dimension", _ADVICE)
    before, keeps = value.inner_shape(value.shape), bool(call.argument("keepdim", 2, False))
    left = [axis for axis in range(len(before)) if keeps or axis not in axes]
    shape = tuple(1 if axis in axes else before[axis] for axis in left)
    args = (Seen(value.inner, before), tuple(axes), keeps)
    inner = _function(call, find, call.node.function, args, shape)
    order = [axis for axis in value.order if axis in left]
    return arranged(call, inner, tuple(left.index(axis) for axis in order))


def _getitem(call: Call, find: Find, value: Arranged) -> Value:
    index = call.args[1]
    items = index if isinstance(index, tuple) else (index,)
    if len(items) != 1 or type(items[0]) is not int:
        reject(
            "it takes a part of a tensor whose batch is not in front",
            f"{_ADVICE}; x[i] alone may take the first dimension apart",
        )
    return _taken(call, find, value, 0, items[0])


def _taken(call: Call, find: Find, value: Arranged, dim: int, index: int) -> Value:
    """One place along an axis, which is no more."""
    axis = _axis(value, dim)
    before = value.inner_shape(value.shape)
    shape = tuple(size for place, size in enumerate(before) if place != axis)
    whole = Seen(value.inner, before)
    inner = _function(call, find, "select", (whole, axis, index), shape)
    left = tuple(other - (other > axis) for other in value.order if other != axis)
    return _in_order(call, find, Seen(inner, shape), left)


def _axis(value: Arranged, dim: int) -> int:
    """The inner axis that is to be taken apart."""
    axis = value.order[dim]
    if axis <= value.is_joined:
        reject("it takes a part of the batch", "take parts of other dimensions")
    return axis


def _in_order(call: Call, find: Find, inner: Seen, order: Shape) -> Value:
    """`inner` with its axes in `order`: permuted where the batch is then in front, else remembered so."""
    joined = 0 not in order
    if order[0] != joined or isinstance(inner.value, Unknown):
        return arranged(call, inner.value, order)
    whole = (0, *order) if joined else order
    shape = tuple(inner.shape[axis] for axis in whole)
    value = _function(call, find, "permute", (inner, whole), shape)
    return arranged(call, value, _row(len(order))) if joined else value


def _function(call: Call, find: Find, name: str, args: tuple[Any, ...], shape: Shape) -> Value:
    detector = find(name)
    assert detector is not None
    value = detector(inner_call(call, call.name, name, args, {}, shape))
    assert isinstance(value, Value)
    return value


def joined(call: Call, find: Find) -> Value | None:
    """A view of a whole tensor in which the batch is one axis with the next, None where it is none."""
    shape, before = call.out_shape, call.shape_of("input", 0)
    if before[:1] != (1,) or not isinstance(call.x, (Codes, Real)):
        return None
    tokens = len(shape) == 2 and len(before) > 2 and shape[1] == before[-1]
    if len(shape) < 3 and not tokens:
        return None
    whole = (1, *shape)
    inner = _function(call, find, "reshape", (Seen(call.x, before), whole), whole)
    return arranged(call, inner, _row(len(shape)))


_MOVES: dict[str, Callable[[Call, Find, Arranged], Value | tuple[Value, ...]]] = {
    "permute": _permute,
    "transpose": _permute,
    "mT": _permute,
    "reshape": _reshape,
    "view": _reshape,
    "flatten": _reshape,
    "unflatten": _reshape,
    "mean": _reduced,
    "sum": _reduced,
    "select": _select,
    "unbind": _unbind,
    "chunk": _split,
    "split": _split,
    "__getitem__": _getitem,
}
