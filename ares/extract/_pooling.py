"""What poolings share: the constants of averages over windows of several sizes, and where maxima come from."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from ares.extract._averages import average, windows_alike
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._moves import move
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import rescale_for
from ares.extract._values import Codes, Index, Value
from ares.ops._averages import WindowAverage, divisors
from ares.ops._maxima import WindowMaximum


def one(value: Any) -> int:
    """A size along one axis, from a number or a sequence of one."""
    if isinstance(value, int):
        return value
    numbers = tuple(int(number) for number in value)
    if len(numbers) != 1:
        reject(f"expected a number, found {value!r}")
    return numbers[0]


def output_size(call: Call, axes: int) -> tuple[int, ...]:
    """What an adaptive pooling over the last `axes` axes gives along each; None keeps an axis as it is."""
    wanted, before = call.setting("output_size", 1), call.shape_of("input", 0)[-axes:]
    sizes = tuple(wanted) if isinstance(wanted, (tuple, list)) else (wanted,) * axes
    if len(sizes) != axes:
        reject(f"its output_size is {wanted!r}, expected {axes} sizes", "give one size an axis")
    return tuple(
        full if size is None else int(size) for size, full in zip(sizes, before, strict=True)
    )


def require_rank(call: Call, rank: int) -> None:
    """Refuse what has no batch: PyTorch takes its first axis for the channels then."""
    if len(call.out_shape) != rank:
        sizes = "length" if rank == 3 else "height, width"
        reject(f"it gives shape {list(call.out_shape)}", f"give it [batch, channels, {sizes}]")


def window_average(
    call: Call, operation: type[WindowAverage], divisor: int | None, **parameters: Any
) -> Value:
    """An average with `rescales` for each size of its windows, or one for all where `divisor` is given."""

    def add(source: Codes, quantizer: Quantizer, scales: list[Fraction]) -> str:
        tensor = call.tensor(source)
        shaped = operation("", (), (), **(parameters | {"rescales": ()}))
        axes = shaped.counted(tensor.shape)
        counts = divisors(axes)
        if divisor:
            counts = (int(np.prod([axis.largest for axis in axes])),)
        rescales = tuple(
            rescale_for(
                call,
                quantizer,
                [scale / (divisor or count) for scale in scales],
                [Fraction(0)],
                count * tensor.largest_magnitude,
            )
            for count in counts
        )
        return call.add(operation, (source.tensor,), quantizer, **parameters, rescales=rescales)

    axes = operation("", (), (), **(parameters | {"rescales": ()})).counted(
        call.shape_of("input", 0)
    )
    return average(call, 1, add, *windows_alike(axes, divisor))


def maximum(call: Call, operation: type[WindowMaximum], **parameters: Any) -> Value:
    """A maximum over windows: it changes places with a quantiser behind it, as both keep order."""

    def add(tensor: str) -> str:
        return call.add(operation, (tensor,), call.builder.tensors[tensor], **parameters)

    before = call.shape_of("input", 0)

    def back(index: Index) -> Index | None:
        of_channel = index.max(axis=tuple(range(2, operation.RANK)), keepdims=True)
        mixed = (index != of_channel) & (index != -1)
        return None if mixed.any() else np.broadcast_to(of_channel, before)

    return move(call, add, back, takes_maximum=True)
