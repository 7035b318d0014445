"""Bilinear interpolation: products with the weights of rows and of columns, which are whole numbers over a divisor."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import numpy as np
import numpy.typing as npt

from ares.interchange.meaning import scale_of
from ares.interchange.onnx_layers._finish import finish, scaled, shifted
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor
from ares.ops._bilinear import BilinearInterpolation
from ares.ops.upsample_bilinear2d import UpsampleBilinear2d
from ares.ops.upsample_bilinear_fp32 import UpsampleBilinearFp32


@writes(UpsampleBilinear2d)
def _bilinear(
    writer: OnnxWriter, layer: UpsampleBilinear2d, inputs: Sequence[Tensor], output: Tensor
) -> None:
    made = _interpolated(writer, layer, inputs[0])
    finish(writer, layer.name, made, _worth(layer, inputs[0]), layer.rescale, output)


@writes(UpsampleBilinearFp32)
def _bilinear_fp32(
    writer: OnnxWriter, layer: UpsampleBilinearFp32, inputs: Sequence[Tensor], output: Tensor
) -> None:
    made = _interpolated(writer, layer, inputs[0])
    worth, rank = _worth(layer, inputs[0]), len(output.shape)
    made = scaled(writer, made, [Fraction(scale) / worth for scale in layer.scale.tolist()], rank)
    if layer.bias.any():
        biases = [Fraction(real) for real in layer.bias.tolist()]
        made = shifted(writer, made, biases, Fraction(1), rank)
    writer.node("Identity", [made], output=output.name)


def _worth(layer: BilinearInterpolation, source: Tensor) -> Fraction:
    return scale_of(source) / prod(layer.divisors)


def _interpolated(writer: OnnxWriter, layer: BilinearInterpolation, source: Tensor) -> str:
    """What lies between the inputs: the mean by whole weights, divided once where that is not exact in binary32."""
    value, axes = writer.real(source), (1, 0) if len(source.shape) == 4 else (1,)
    divisor = prod(layer.divisors[axis] for axis in axes)
    is_exact = divisor & (divisor - 1) == 0
    for axis in axes:
        weights = _weights(layer, axis, source.shape[axis - 2])
        if is_exact:
            weights /= np.float32(layer.divisors[axis])
        if axis == 1:
            value = writer.node("MatMul", [value, writer.constant(np.ascontiguousarray(weights.T))])
        else:
            value = writer.node("MatMul", [writer.constant(weights), value])
    if is_exact:
        return value
    return writer.node("Div", [value, writer.constant(np.array(divisor, np.float32))])


def _weights(layer: BilinearInterpolation, axis: int, size: int) -> npt.NDArray[np.float32]:
    """[output, input] of rows or columns: the weights, which add up to the divisor."""
    step, offset, divisor = layer.steps[axis], layer.offsets[axis], layer.divisors[axis]
    found = np.zeros((layer.sizes[axis], size), np.float32)
    for place in range(layer.sizes[axis]):
        near, share = divmod(max(0, place * step + offset), divisor)
        found[place, min(near, size - 1)] += divisor - share
        found[place, min(near + 1, size - 1)] += share
    return found
