"""From a real value that stands for an exact sum to a layer's codes: constant factor, addend, function, quantiser."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import cycle

import numpy as np

from ares.interchange.meaning import NOTHING, Affine, is_average, nearest, relative, scale_of
from ares.interchange.onnx_functions import say
from ares.interchange.onnx_writer import OnnxWriter
from ares.ir import Tensor
from ares.numerics import Rescale


def finish(
    writer: OnnxWriter,
    name: str,
    value: str,
    worth: Fraction,
    rescale: Rescale,
    output: Tensor,
    axis: int = 1,
) -> None:
    """Write the output of a layer; `worth`: what `value` is for a sum of one. `axis`: that of constants a channel.

    Raises UnsaidError where its constants are from nobody knows where.
    """
    unit = worth / scale_of(output)
    if not is_average(rescale, unit, output):
        affine = Affine.of(name, rescale, output, unit)
        value = adjusted(writer, value, affine, unit, output, axis)
        value = say(writer, affine.function, value)
    writer.codes(value, output, rescale.lo, rescale.hi)


def adjusted(
    writer: OnnxWriter, value: str, affine: Affine, unit: Fraction, output: Tensor, axis: int = 1
) -> str:
    """The argument of an Affine's function: `value`, which is worth `unit` codes a sum, by its ratios and addends."""
    factors = [ratio / unit for ratio in affine.ratios]
    value = scaled(writer, value, factors, len(output.shape), axis, affine.addends)
    return shifted(writer, value, affine.addends, scale_of(output), len(output.shape), axis)


def scaled(
    writer: OnnxWriter,
    value: str,
    factors: Sequence[Fraction],
    rank: int = 0,
    axis: int = 1,
    addends: Sequence[Fraction] = (Fraction(0),),
) -> str:
    """A value times a constant that the product of scales does not hold, or one a channel; nothing where that is 1.

    `addends`: what is added to it later, in codes.
    """
    rows = list(zip(factors, cycle(addends), strict=False))
    if all(relative(factor, Fraction(1), addend) <= NOTHING for factor, addend in rows):
        return value
    numbers = [nearest(factor) for factor in factors]
    for number, (factor, addend) in zip(numbers, rows, strict=True):
        off = relative(Fraction(float(number)), factor, addend)
        writer.depart("a factor in binary32", off)
    return writer.node("Mul", [value, _constant(writer, numbers, rank, axis)])


def shifted(
    writer: OnnxWriter,
    value: str,
    addends: Sequence[Fraction],
    scale: Fraction,
    rank: int = 0,
    axis: int = 1,
) -> str:
    """A value plus a constant, or one a channel, in codes of that scale."""
    if all(abs(addend) <= NOTHING for addend in addends):
        return value
    numbers = [nearest(addend * scale) for addend in addends]
    for number, addend in zip(numbers, addends, strict=True):
        off = abs(Fraction(float(number)) / scale - addend)
        writer.depart("an added constant in binary32", off)
    return writer.node("Add", [value, _constant(writer, numbers, rank, axis)])


def _constant(writer: OnnxWriter, numbers: Sequence[np.float32], rank: int, axis: int) -> str:
    """One number, or one for each place along an axis of a tensor of that rank."""
    array = np.array(numbers, np.float32)
    if (array == array[0]).all():
        return writer.constant(array[0].reshape(()))
    shape = [1] * rank
    shape[axis] = -1
    return writer.constant(array.reshape(shape))
