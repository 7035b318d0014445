"""Codes that have a scale for each channel: how they come to be, move, and become real values again.

The Graph knows tensors of one scale. What a quantiser with a scale for each channel makes is a tensor of scale 1, and
the scales are constants of the operations around it: of the one before, which divides by them before its rounding,
and of those behind, whose factors they join.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ares.extract._call import Call
from ares.extract._findings import Unquantised, reject
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import real_value, rescale_for
from ares.extract._scales import ONE_SCALE, ChannelScales
from ares.extract._values import ChannelCodes, Codes, Constant, Index, Real, Value
from ares.extract.constant import quantized_constant
from ares.ir import Tensor
from ares.numerics import IDENTITY, Pointwise, lookup_table
from ares.ops import KernelOperation
from ares.ops.batch_norm import BatchNorm
from ares.ops.requantize import Requantize

_NORMAL = np.finfo(np.float32)
_ONE_SCALE_BEFORE = "put a QuantIdentity with one scale before it"


def one_scale(call: Call, value: ChannelCodes, role: str = "its input") -> Unquantised:
    """The refusal of such codes by what needs one scale."""
    return Unquantised(
        f"{role} has {len(value.scales.values)} scales, one for each channel: only depthwise convolutions, averages, "
        "functions of single elements and quantisers take such",
        f"{ONE_SCALE} from the quantiser of {value.layer}, or put a QuantIdentity with one scale behind it",
    )


def quantize_by_channel(
    call: Call, value: Value, quantizer: Quantizer, name: str | None, shape: tuple[int, ...]
) -> ChannelCodes:
    """The codes that a quantiser with a scale for each channel makes of a value of that shape."""
    assert quantizer.scales is not None
    count, axis, rank = len(quantizer.scales.values), quantizer.scales.axis, len(shape)
    if rank < -axis or shape[axis] != count:
        reject(
            f"its quantiser has {count} scales along axis {axis}, and gets a tensor of shape {list(shape)}",
            "give per_channel_broadcastable_shape the tensor's rank, with ones but for its channels",
        )
    scales = ChannelScales(quantizer.scales.values, axis % rank)
    rounding = quantizer.of_codes()
    origin = quantizer.origin.removeprefix("quantizer:")
    if isinstance(value, ChannelCodes) and value.scales == scales:
        source = call.builder.tensors[value.tensor]
        if quantizer.leaves(source) and rounding.keeps(source):
            call.builder.add_origin(value.tensor, quantizer.origin)
            return value
    if isinstance(value, Constant):
        tensor = quantized_constant(call, _in_codes(value, quantizer, scales), rounding)
    elif isinstance(value, Codes | Real):
        if isinstance(value, Codes | ChannelCodes):
            value = waiting(call, value, Requantize, name)
        tensor = value.in_codes(quantizer, shape).quantized(rounding)
    else:
        raise TypeError(f"nothing to quantise in a {type(value).__name__}")
    call.builder.add_origin(tensor, quantizer.origin)
    return channel_codes(call, tensor, scales, origin)


def _in_codes(value: Constant, quantizer: Quantizer, scales: ChannelScales) -> Constant:
    """What the quantiser rounds of a constant."""
    if value.array is None:
        return value
    real = quantizer.function.evaluate(value.array) / scales.along(value.array.ndim)
    return Constant(value.name, quantizer.step.evaluate(real))


def channel_codes(call: Call, tensor: str, scales: ChannelScales, quantizer: str) -> ChannelCodes:
    """A tensor of such codes; `quantizer` as in `ChannelCodes`."""

    def finish(known: Quantizer) -> str:
        return _rescaled(call, tensor, scales, known, f"{tensor}.rescaled")

    def expose(_: Pointwise) -> str:
        raise one_scale(call, value, "the network's output")

    value = ChannelCodes(
        what=f"{tensor}, codes with a scale for each channel",
        layer=tensor,
        shape=call.builder.tensors[tensor].shape,
        finish=finish,
        axes=(scales.axis,),
        expose=expose,
        advice=_ONE_SCALE_BEFORE,
        tensor=tensor,
        scales=scales,
        quantizer=quantizer,
    )
    return value


def move_channels(
    call: Call, value: ChannelCodes, tensor: str, back: Callable[[Index], Index | None]
) -> ChannelCodes:
    """`tensor`, to which the call moved such codes, where it kept channels apart."""
    scales = value.scales.moved(value.shape, call.builder.tensors[tensor].shape, back)
    if scales is None:
        reject(f"it mixes the channels of {value.what}", _ONE_SCALE_BEFORE)
    same = value.quantizer if scales.values == value.scales.values else ""
    return left_by(call, channel_codes(call, tensor, scales, same))


def left_by(call: Call, value: ChannelCodes) -> ChannelCodes:
    """The same, noted as what left the call: the witness can judge it there if it has its scales."""
    if value.quantizer and len(call.node.outputs) == 1:
        call.builder.add_origin(value.tensor, f"node:{call.node.key}")
        call.builder.add_origin(value.tensor, f"scales:{value.quantizer}@{value.scales.axis}")
    return value


def waiting(
    call: Call,
    value: Codes | ChannelCodes,
    operation: type[KernelOperation],
    name: str | None = None,
) -> Real:
    """Codes as a real value: `operation` (field `table`) serves them, BatchNorm where channels differ."""
    if isinstance(value, ChannelCodes):
        scales = value.scales
        return real_value(
            call,
            lambda quantizer: _rescaled(call, value.tensor, scales, quantizer, name),
            what=value.what,
            shape=value.shape,
            axes=(scales.axis,),
            advice=value.advice,
        )
    source = call.tensor(value)

    def finish(quantizer: Quantizer) -> str:
        pointwise = quantizer.pointwise
        if pointwise.channels > 1:
            assert quantizer.axis is not None
            scale = ChannelScales((source.scale or 0.0,), quantizer.axis)
            return _rescaled(call, value.tensor, scale, quantizer, name)
        (function,), (factor,), (addend,) = (
            pointwise.functions,
            pointwise.factors,
            pointwise.addends,
        )
        table = lookup_table(function, source, quantizer.tensor(), factor, addend)
        return call.add(operation, (value.tensor,), quantizer, name=name, table=table)

    def regrid(factor: Fraction) -> str:
        like = _times(source, factor)
        table = lookup_table(IDENTITY, source, like, factor)
        return call.add(operation, (value.tensor,), like, name=name, table=table)

    real = real_value(call, finish, shape=source.shape, axes=tuple(range(1, len(source.shape))))
    return real.changed(regrid=regrid, unit=Fraction(source.scale or 0))


def _times(source: Tensor, factor: Fraction) -> Tensor:
    """What means the same codes times a factor, on a grid of its own; mirrored codes where it is negative."""
    scale = float(Fraction(source.scale or 0) * abs(factor))
    if not _NORMAL.tiny <= scale <= _NORMAL.max:
        reject(
            f"its codes get the scale {scale:.3g}, which is no normal number of binary32",
            "multiply by a number that is nearer to one",
        )
    zero_point = source.zero_point if factor > 0 else source.lo + source.hi - source.zero_point
    return replace(source, scale=scale, zero_point=zero_point)


def _rescaled(
    call: Call, tensor: str, scales: ChannelScales, quantizer: Quantizer, name: str | None
) -> str:
    """Adds the operation on codes of which channels differ, in their scales or in what follows."""
    ratios = [Fraction(scale) for scale in scales.values]
    bound = call.builder.tensors[tensor].largest_magnitude
    rescale = rescale_for(call, quantizer, ratios, [Fraction(0)], bound)
    return call.add(BatchNorm, (tensor,), quantizer, name=name, axis=scales.axis, rescale=rescale)
