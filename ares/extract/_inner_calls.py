"""Calls that the model did not make, for detectors that take a layer apart: to its detector each is like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ares.capture import Node, Output, Ref
from ares.extract._call import Call


@dataclass(frozen=True, slots=True)
class Seen:
    """An argument that is a tensor: its value, and the shape that it has here."""

    value: Any
    shape: tuple[int, ...]


def inner_call(
    call: Call,
    name: str,
    function: str,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *shapes: tuple[int, ...],
) -> Call:
    """A call of `function` that makes tensors of these shapes, as part of `call`; `args` hold `Seen` for tensors."""
    outputs = dict(call.context.outputs)

    def ref(arg: Any, place: str) -> Any:
        if isinstance(arg, (tuple, list)) and any(isinstance(item, Seen) for item in arg):
            return type(arg)(ref(item, f"{place}.{i}") for i, item in enumerate(arg))
        if not isinstance(arg, Seen):
            return arg
        key = f"{call.node.key}:{name}:{place}"
        outputs[key] = (Output(arg.shape, torch.float64, False),)
        return Ref(key)

    node = Node(
        key=f"{call.node.key}:{name}",
        kind="function",
        scope=call.node.scope,
        scopes=call.node.scopes,
        module=None,
        path="",
        function=function,
        args=tuple(ref(arg, str(place)) for place, arg in enumerate(args)),
        kwargs={key: ref(arg, key) for key, arg in kwargs.items()},
        outputs=tuple(Output(shape, torch.float64, False) for shape in shapes),
        tensor=None,
    )
    context = replace(call.context, outputs=outputs)
    values = {key: _value(arg) for key, arg in kwargs.items()}
    return Call(context, node, name, function, tuple(map(_value, args)), values)


def quantizer_events(call: Call) -> frozenset[str]:
    """The calls of quantisers that tensors are judged at so far."""
    return frozenset(
        origin
        for tensor in call.builder.tensors.values()
        for origin in tensor.origins
        if origin.startswith("quantizer:")
    )


def note_axes(
    call: Call, before: frozenset[str], orders: Mapping[str, str], otherwise: str
) -> None:
    """Tell the witness in what order the model has the axes at the calls of quantisers since `before`.

    `orders`: by the child of the call's module that the quantiser is in. See `ares.ir.Tensor` for what can be told.
    """
    prefix = f"quantizer:{call.node.path}." if call.node.path else "quantizer:"
    for name, tensor in list(call.builder.tensors.items()):
        for origin in tensor.origins:
            if origin.startswith("quantizer:") and origin not in before:
                child = origin.removeprefix(prefix).partition(".")[0]
                order = orders.get(child, otherwise)
                call.builder.add_origin(name, f"axes {order}:{origin}")


def _value(arg: Any) -> Any:
    if isinstance(arg, (tuple, list)) and any(isinstance(item, Seen) for item in arg):
        return type(arg)(_value(item) for item in arg)
    return arg.value if isinstance(arg, Seen) else arg
