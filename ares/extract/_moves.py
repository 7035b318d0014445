"""Moves: elements only change place, of codes that are there or of those that a quantiser will make."""

from __future__ import annotations

from collections.abc import Callable

from ares.extract._call import Call
from ares.extract._channel_codes import move_channels
from ares.extract._findings import reject
from ares.extract._masks import Masked, moved_mask
from ares.extract._scaled_codes import Scaled, moved_codes
from ares.extract._values import ChannelCodes, Codes, Index, Move, Real, Unknown, Value
from ares.ops import KernelOperation


def move(
    call: Call,
    add: Callable[[str], str],
    back: Callable[[Index], Index | None],
    *,
    takes_maximum: bool = False,
    adds_zeros: bool = False,
) -> Value:
    """A move of the first argument's codes: now when they exist, later when they wait for their quantiser.

    The arguments are those of `Move`.
    """
    value = call.x
    if isinstance(value, Codes):
        return Codes(add(value.tensor))
    if isinstance(value, ChannelCodes):
        return move_channels(call, value, add(value.tensor), back)
    if isinstance(value, Masked) and not (takes_maximum or adds_zeros):
        scores = moved_mask(call, value, add, back)
        if scores is not None:
            return scores
    if isinstance(value, Real):
        moved = value.moved(Move(add, back, takes_maximum, adds_zeros))
        if not isinstance(value, Scaled):
            return moved
        return moved_codes(value, back, call.out_shape, moved)
    if isinstance(value, Unknown):
        return value
    return reject("it moves a constant of the model", "store the constant in the shape you need")


def shape_move(call: Call, operation: type[KernelOperation]) -> Value:
    """Add `operation` (field `shape`) unless the shape stays as it is: the one that the captured forward produced."""
    shape = call.out_shape
    if shape[:1] != (1,):
        reject(
            f"it gives shape {list(shape)}: the batch must stay the first dimension",
            "keep x.size(0)",
        )

    before = call.shape_of("input", 0)

    def add(tensor: str) -> str:
        source = call.builder.tensors[tensor]
        if source.shape == shape:
            return tensor
        return call.add(operation, (tensor,), source, shape=shape)

    return move(call, add, lambda index: index.reshape(before))
