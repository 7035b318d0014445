"""Weights and biases: int8 codes with a scale a channel, int32 codes on the grid of the sums, or binary32.

A bias that lies on the grid of its sums, scale of the input times scale of the weights, is written as int32 codes, as
integer kernels want it; any other as binary32. Runtimes expect scales above zero: a channel of a negative scale has its
weights negated (where one is -128 the scale stays), one of scale zero has weights of zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.interchange.meaning import NOTHING, Affine, Reals, nearest, relative, scale_of
from ares.interchange.onnx_writer import OnnxWriter
from ares.ir import Tensor

Array = npt.NDArray[Any]
_INT32 = 2**31


def weights_of(
    writer: OnnxWriter,
    weight: Array,
    axis: int,
    affine: Affine,
    source: Tensor,
    output: Tensor,
) -> list[str]:
    """The names of the weights and, where there is one, the bias in reals, of a layer that gives codes.

    `weight`: int8, whose channels are along `axis`; `affine`: for each of these, in codes of the output.
    """
    target = scale_of(output)
    factors = [ratio * target / scale_of(source) for ratio in affine.ratios]
    reals = _weights(writer, weight, axis, factors, affine.addends)
    if not any(affine.addends):
        return [reals[0]]
    biases = [addend * target for addend in affine.addends]
    grid = np.float32(float(scale_of(source))) * reals[1]
    on_grid = _on_grid(biases, grid, [NOTHING * target] * len(biases))
    if on_grid is not None:
        return [reals[0], dequantized(writer, on_grid, grid, 0)]
    written = np.array([nearest(bias) for bias in biases], np.float32)
    for number, bias in zip(written.tolist(), biases, strict=True):
        writer.depart("a bias in binary32", abs(Fraction(number) - bias) / target)
    return [reals[0], writer.constant(written)]


def real_weights_of(
    writer: OnnxWriter,
    weight: Array,
    axis: int,
    scales: Sequence[Fraction],
    source: Tensor,
    bias_codes: Array,
    bias: Array,
) -> list[str]:
    """The same for a layer that gives reals, whose sums are worth `scales`; either bias may be empty."""
    factors = [scale / scale_of(source) for scale in scales]
    reals = _weights(writer, weight, axis, factors, [Fraction(0)] * len(factors))
    codes = bias_codes.tolist() or [0] * len(scales)
    added = bias.tolist() or [0.0] * len(scales)
    rows = zip(scales, codes, added, strict=True)
    biases = [scale * code + Fraction(real) for scale, code, real in rows]
    if not any(biases):
        return [reals[0]]
    grid = np.float32(float(scale_of(source))) * reals[1]
    # To the precision of the reals themselves.
    on_grid = _on_grid(biases, grid, [abs(each) / 2**22 for each in biases])
    if on_grid is not None and bias_codes.size:
        return [reals[0], dequantized(writer, on_grid, grid, 0)]
    return [reals[0], writer.constant(np.array([nearest(each) for each in biases], np.float32))]


def _weights(
    writer: OnnxWriter,
    weight: Array,
    axis: int,
    factors: Sequence[Fraction],
    addends: Sequence[Fraction],
) -> tuple[str, Reals]:
    """The name of the weights in reals, and the scale of each channel."""
    scales = np.array([nearest(factor) for factor in factors], np.float32)
    for scale, factor, addend in zip(scales.tolist(), factors, addends, strict=True):
        writer.depart("a weight scale in binary32", relative(Fraction(scale), factor, addend))
    codes = np.moveaxis(weight, axis, 0).copy()
    rows = codes.reshape(len(codes), -1)
    turned = (scales < 0) & (rows.min(axis=1, initial=0) > -128)
    rows[turned] = -rows[turned]
    scales = np.where(turned, -scales, scales)
    rows[scales == 0] = 0
    largest = np.abs(scales).max()
    scales = np.where(scales == 0, largest or np.float32(1), scales).astype(np.float32)
    return dequantized(writer, np.moveaxis(codes, 0, axis), scales, axis), scales


def dequantized(writer: OnnxWriter, codes: Array, scales: Reals, axis: int) -> str:
    """Constant codes in reals, of one scale or one a channel."""
    codes = np.ascontiguousarray(codes)
    if (scales == scales[0]).all():
        operands = [codes, scales[0].reshape(()), np.zeros((), codes.dtype)]
        return writer.node("DequantizeLinear", [writer.constant(array) for array in operands])
    operands = [codes, scales, np.zeros(scales.shape, codes.dtype)]
    return writer.node("DequantizeLinear", [writer.constant(each) for each in operands], axis=axis)


def _on_grid(
    biases: Sequence[Fraction], grid: Reals, allowed: Sequence[Fraction]
) -> npt.NDArray[np.int32] | None:
    """int32 codes of biases; None where one lies off its grid by more than is allowed."""
    units = [Fraction(unit) for unit in grid.tolist()]
    if not all(units):
        return None
    codes = [round(bias / unit) for bias, unit in zip(biases, units, strict=True)]
    rows = zip(codes, units, biases, allowed, strict=True)
    fit = all(abs(code) < _INT32 and abs(code * u - bias) <= most for code, u, bias, most in rows)
    return np.array(codes, np.int32) if fit else None
