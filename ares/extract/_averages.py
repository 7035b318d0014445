"""What all averages share: exact sums that wait for one quantiser.

Of codes they are an operation of their own. Of what a convolution or linear layer computes, with BatchNorm and other
arithmetic behind it, they join the layer: one sum over its accumulators, one rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from math import prod

import numpy as np

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._findings import Unmappable, Unquantised
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import real_value
from ares.extract._values import ChannelCodes, Codes, Index, Move, Real, Unknown, Value
from ares.extract.average_fp32 import add_average
from ares.numerics import IDENTITY, Pointwise
from ares.ops._averages import Counted
from ares.ops._window import Window, Windows
from ares.ops.reshape import Reshape
from ares.ops.squeeze import Squeeze


def average(
    call: Call,
    divisor: int,
    add: Callable[[Codes, Quantizer, list[Fraction]], str],
    windows: Windows | None = None,
    counted: int = 0,
    axis: int | None = 1,
) -> Value:
    """sum / divisor of the call's first argument. `add` gets the real values of one unit of the sum: one, or one a
    channel.

    `windows`: what is summed, along axes of the first argument, None where windows differ in more than their place.
    `counted`: the divisor, where `add` brings its own and `divisor` is 1. `axis`: that of the channels that may differ,
    1 or the last one; None where they may not.
    """
    value = call.x
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Real) and value.summed is not None and windows is not None:
        found = _of_layer(call, value, windows, counted or divisor)
        if found is not None:
            return found
    if isinstance(value, ChannelCodes) and value.scales.axis == axis:
        source, scales = Codes(value.tensor), value.scales.values
    else:
        source = codes_of(call, value)
        scales = (call.tensor(source).scale or 0.0,)
    ratios = [Fraction(scale) / divisor for scale in scales]
    places = () if axis is None else (1 if axis == 1 else len(call.out_shape) - 1,)

    @cache
    def expose(pointwise: Pointwise) -> str:
        assert windows is not None
        assert axis is not None
        return add_average(call, source, scales, windows, counted or divisor, axis, pointwise)

    leaves = windows is not None and axis is not None and len(call.tensor(source).shape) in (3, 4)
    return real_value(
        call,
        lambda quantizer: add(source, quantizer, ratios),
        axes=places,
        expose=expose if leaves else None,
    )


def windows_alike(
    axes: Sequence[Counted], divisor: int | None = None
) -> tuple[Windows | None, int]:
    """The windows along the axes behind the channels and their divisor: the arguments of `average`."""
    windows, counts = {}, 1
    for axis, counted in enumerate(axes, start=2):
        span = counted.span
        (start, end), *others = span.bounds
        stride = others[0][0] - start if others else 1
        after = max(span.bounds[-1][1] - span.size, 0)
        window = Window(end - start, stride, -start, after)
        places = [(i * stride + start, i * stride + end) for i in range(span.out)]
        if places != list(span.bounds) or len(counted.sizes) > 1 or span.dilation > 1:
            return None, 0
        windows[axis] = window
        counts *= counted.sizes[0]
    return windows, divisor or counts


def _of_layer(call: Call, value: Real, windows: Windows, divisor: int) -> Real | None:
    """The average of what a layer computes, None where it has to be quantised first."""
    assert value.summed is not None
    own = _own_windows(call, value, windows)
    if value.pointwise.function is not IDENTITY or own is None:
        return None
    padded = any(window.before or window.after for window in own.values())
    if padded and any(value.pointwise.addends):
        raise Unquantised(
            f"its input is {value.what} and a number added to it, and its padding has none",
            "insert a QuantIdentity before it, or average without padding",
        )
    whole = Fraction(prod(window.kernel for window in own.values()), divisor)
    mean = value.summed(own)
    if prod(mean.shape) != prod(call.out_shape):
        return None
    result = mean.changed(
        pointwise=value.pointwise.scaled([whole], [Fraction(0)]), axis=value.axis, moves=()
    )
    return result if mean.shape == call.out_shape else result.moved(_shaped(call, mean.shape))


def _own_windows(call: Call, value: Real, windows: Windows) -> Windows | None:
    """The windows along axes of the layer's results, None where they are none of its positions."""
    (channels,) = value.axes or (0,)
    if not value.moves:
        return windows if channels not in windows and 0 not in windows else None
    shape = call.shape_of("input", 0)
    whole = all(window == Window(shape[axis]) for axis, window in windows.items())
    if not whole or any(move.takes_maximum or move.adds_zeros for move in value.moves):
        return None
    # Through moves: what is averaged must be all positions of every channel.
    means = tuple(1 if axis in windows else size for axis, size in enumerate(shape))
    cells: Index = np.broadcast_to(np.arange(prod(means)).reshape(means), shape)
    try:
        source = value.source_of(cells)
    except Unmappable:
        return None  # the moves mix what is averaged apart
    if source.size != prod(shape):
        return None  # a repeated position counts twice
    rows = np.moveaxis(source, channels, 0).reshape(source.shape[channels], -1)
    if not (rows == np.arange(len(rows))[:, None]).all():
        return None
    positions = (axis for axis in range(1, source.ndim) if axis != channels)
    return {axis: Window(source.shape[axis]) for axis in positions}


def _shaped(call: Call, shape: tuple[int, ...]) -> Move:
    """From `shape` to the shape that the call gives."""
    wanted = call.out_shape
    ones_only = [size for size in shape if size > 1] == [size for size in wanted if size > 1]
    operation = Squeeze if ones_only else Reshape

    def add(tensor: str) -> str:
        return call.add(operation, (tensor,), call.builder.tensors[tensor], shape=wanted)

    return Move(add, lambda index: index.reshape(shape))
