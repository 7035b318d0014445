"""Softmax, of codes and of products, and rotary positions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction
from math import log, prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.interchange.meaning import UnsaidError, nearest, relative, scale_of
from ares.interchange.onnx_layers._finish import scaled
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor
from ares.ops.matmul_softmax import MatmulSoftmax
from ares.ops.rotary import Rotary
from ares.ops.softmax import Softmax

_DIGITS = Context(prec=50)
# Clause N14: tables are in units of 2**-30, their ratio is M / 2**(t + 2).
_ONE = 2**30


@writes(Softmax)
def _softmax(writer: OnnxWriter, layer: Softmax, inputs: Sequence[Tensor], output: Tensor) -> None:
    keys = inputs[0].shape[-1]
    kept = np.tri(keys, dtype=np.uint8) if layer.causal else layer.kept
    value = _masked(writer, writer.real(inputs[0]), kept, inputs[0].shape)
    writer.codes(writer.node("Softmax", [value], axis=-1), output)


@writes(MatmulSoftmax)
def _matmul_softmax(
    writer: OnnxWriter, layer: MatmulSoftmax, inputs: Sequence[Tensor], output: Tensor
) -> None:
    worth = scale_of(inputs[0]) * scale_of(inputs[1])
    factor = _step_of(layer) / worth
    value = writer.node("MatMul", [writer.real(source) for source in inputs])
    value = scaled(writer, value, [factor])
    # An exponential that still makes a code has at most this argument, and is off by as much as that.
    largest = Fraction(max(1.0, log(2.0 / float(scale_of(output)))))
    off = relative(Fraction(float(nearest(factor))), factor)
    writer.depart("the scale of its scores in binary32", off * largest)
    value = _masked(writer, value, layer.kept, output.shape)
    writer.codes(writer.node("Softmax", [value], axis=-1), output)


def _step_of(layer: MatmulSoftmax) -> Fraction:
    """What the exponent of one more in a sum is: from the entry whose argument is largest, so the best known."""
    best, step = Decimal(0), Decimal(0)
    base = layer.mantissas.shape[1]
    for digit, (mantissas, exponents) in enumerate(
        zip(layer.mantissas.tolist(), layer.exponents.tolist(), strict=True)
    ):
        last = max(place for place, mantissa in enumerate(mantissas) if mantissa)
        if last == 0:
            continue
        value = _DIGITS.divide(Decimal(mantissas[last]), Decimal(2 ** (31 + exponents[last])))
        argument = -_DIGITS.ln(value)
        if argument > best:
            best, step = argument, _DIGITS.divide(argument, Decimal(last * base**digit))
    if not best:
        raise UnsaidError(f"layer {layer.name}: scores of no known scale, all exponentials are one")
    return Fraction(step)


def _masked(writer: OnnxWriter, value: str, kept: npt.NDArray[Any], shape: tuple[int, ...]) -> str:
    """Scores, minus infinity where a key is not kept: row i of all rows has row i mod m of the mask."""
    if not kept.size or kept.all():
        return value
    rows, keys = prod(shape[:-1]), shape[-1]
    queries = shape[-2] if shape[-2] % len(kept) == 0 else rows
    mask = np.where(np.tile(kept, (queries // len(kept), 1)), 0.0, -np.inf).astype(np.float32)
    whole = mask if queries == shape[-2] else mask.reshape(*shape[:-1], keys)
    return writer.node("Add", [value, writer.constant(whole)])


@writes(Rotary)
def _rotary(writer: OnnxWriter, layer: Rotary, inputs: Sequence[Tensor], output: Tensor) -> None:
    """a * cos - b * sin and a * sin + b * cos of the pairs (a, b) of a head's features."""
    (source,), (length, pairs) = inputs, layer.cos.shape
    heads = source.shape[2] // (2 * pairs)
    sizes = (2, pairs) if layer.halves else (pairs, 2)
    axis = 4 if layer.halves else 5
    split = writer.numbers(layer.outer, length, layer.inner, heads, *sizes)
    value = writer.node("Reshape", [writer.real(source), split])
    a, b = (writer.node("Gather", [value, writer.numbers(place)], axis=axis) for place in (0, 1))
    ratio = Fraction(layer.multiplier, 2 ** (layer.shift + 2))
    tables = []
    for table in (layer.cos, layer.sin):
        reals = (table / _ONE).astype(np.float32)
        off = float(np.abs(reals.astype(np.float64) - table / _ONE).max())
        writer.depart(
            "its angles in binary32", Fraction(off) * 2 * source.largest_magnitude * ratio
        )
        spread = (length, 1, 1, 1, pairs) if layer.halves else (length, 1, 1, pairs, 1)
        tables.append(writer.constant(reals.reshape(spread)))
    cos, sin = tables
    less = [writer.node("Mul", pair) for pair in ((a, cos), (b, sin))]
    more = [writer.node("Mul", pair) for pair in ((a, sin), (b, cos))]
    turned = [writer.node("Sub", less), writer.node("Add", more)]
    made = writer.node("Concat", turned, axis=axis)
    made = writer.node("Reshape", [made, writer.numbers(*output.shape)])
    made = scaled(writer, made, [ratio * scale_of(output) / scale_of(source)])
    writer.codes(made, output)
