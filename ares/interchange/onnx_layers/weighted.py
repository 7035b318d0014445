"""Layers with weights: Gemm or MatMul, and Conv, with an average behind it where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

from ares.interchange.meaning import Affine, scale_of
from ares.interchange.onnx_functions import say
from ares.interchange.onnx_layers._finish import shifted
from ares.interchange.onnx_layers._weights import real_weights_of, weights_of
from ares.interchange.onnx_layers._windows import average
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor, frozen_array
from ares.ops._convolution import SummedConvolution
from ares.ops._spans import sliding
from ares.ops.conv1d import Conv1d
from ares.ops.conv1d_depthwise import Conv1dDepthwise
from ares.ops.conv2d import Conv2d
from ares.ops.conv_fp32 import ConvFp32
from ares.ops.conv_sum import ConvSum
from ares.ops.linear import Linear
from ares.ops.linear_fp32 import LinearFp32

Weighted = Conv1d | Conv1dDepthwise | Conv2d | ConvSum | Linear


def _affine(layer: Weighted, source: Tensor, output: Tensor) -> Affine:
    unit = scale_of(source) / scale_of(output)
    return Affine.of(layer.name, layer.rescale, output, unit).for_channels(len(layer.weight))


@writes(Linear)
def _linear(writer: OnnxWriter, layer: Linear, inputs: Sequence[Tensor], output: Tensor) -> None:
    affine = _affine(layer, inputs[0], output)
    is_rows = len(inputs[0].shape) == 2
    weight = layer.weight if is_rows else layer.weight.T
    operands = weights_of(writer, weight, 1 - is_rows, affine, inputs[0], output)
    made = say(writer, affine.function, _product(writer, inputs[0], operands))
    writer.codes(made, output, layer.rescale.lo, layer.rescale.hi)


@writes(LinearFp32)
def _linear_fp32(
    writer: OnnxWriter, layer: LinearFp32, inputs: Sequence[Tensor], output: Tensor
) -> None:
    is_rows = len(inputs[0].shape) == 2
    weight = layer.weight if is_rows else layer.weight.T
    scales = [Fraction(scale) for scale in layer.scale.tolist()]
    operands = real_weights_of(
        writer, weight, 1 - is_rows, scales, inputs[0], layer.bias_codes, layer.bias
    )
    writer.node("Identity", [_product(writer, inputs[0], operands)], output=output.name)


def _product(writer: OnnxWriter, source: Tensor, operands: Sequence[str]) -> str:
    """Gemm of rows of features; MatMul and Add of tokens."""
    x = writer.real(source)
    if len(source.shape) == 2:
        return writer.node("Gemm", [x, *operands], transB=1)
    weights, *bias = operands
    made = writer.node("MatMul", [x, weights])
    return writer.node("Add", [made, *bias]) if bias else made


@writes(Conv1d, Conv2d)
def _convolution(
    writer: OnnxWriter, layer: Conv1d | Conv2d, inputs: Sequence[Tensor], output: Tensor
) -> None:
    affine = _affine(layer, inputs[0], output)
    operands = weights_of(writer, layer.weight, 0, affine, inputs[0], output)
    made = _conv(writer, layer, writer.real(inputs[0]), operands)
    made = say(writer, affine.function, made)
    writer.codes(made, output, layer.rescale.lo, layer.rescale.hi)


def _conv(
    writer: OnnxWriter,
    layer: Conv1d | Conv2d | SummedConvolution,
    value: str,
    operands: Sequence[str],
) -> str:
    return writer.node(
        "Conv",
        [value, *operands],
        kernel_shape=layer.weight.shape[2:],
        strides=layer.stride,
        pads=layer.padding,
        dilations=layer.dilation,
        group=layer.groups,
    )


@writes(Conv1dDepthwise)
def _depthwise(
    writer: OnnxWriter, layer: Conv1dDepthwise, inputs: Sequence[Tensor], output: Tensor
) -> None:
    affine = _affine(layer, inputs[0], output)
    channels, kernel = layer.weight.shape
    operands = weights_of(writer, layer.weight[:, None], 0, affine, inputs[0], output)
    made = writer.node(
        "Conv",
        [writer.real(inputs[0]), *operands],
        kernel_shape=[kernel],
        pads=[layer.left, kernel - 1 - layer.left],
        group=channels,
    )
    made = say(writer, affine.function, made)
    writer.codes(made, output, layer.rescale.lo, layer.rescale.hi)


@writes(ConvSum)
def _conv_sum(writer: OnnxWriter, layer: ConvSum, inputs: Sequence[Tensor], output: Tensor) -> None:
    affine = _affine(layer, inputs[0], output)
    count = prod(layer.window)
    averaged = [ratio * count for ratio in affine.ratios]
    no_bias = Affine(averaged, [Fraction(0)] * len(averaged))
    operands = weights_of(writer, layer.weight, 0, no_bias, inputs[0], output)
    made = _averaged(writer, layer, inputs[0], operands)
    rank, scale = len(output.shape), scale_of(output)
    made = shifted(writer, made, affine.addends, scale, rank, layer.axis)
    made = say(writer, affine.function, made)
    writer.codes(made, output, layer.rescale.lo, layer.rescale.hi)


@writes(ConvFp32)
def _conv_fp32(
    writer: OnnxWriter, layer: ConvFp32, inputs: Sequence[Tensor], output: Tensor
) -> None:
    count = prod(layer.window)
    scales = [Fraction(scale) * count for scale in layer.scale.tolist()]
    if count == 1 and layer.axis == 1:
        biases = (layer.bias_codes, layer.bias)
        operands = real_weights_of(writer, layer.weight, 0, scales, inputs[0], *biases)
        made = _conv(writer, layer, writer.real(inputs[0]), operands)
        writer.node("Identity", [made], output=output.name)
        return
    none = frozen_array([], layer.bias_codes.dtype)
    operands = real_weights_of(writer, layer.weight, 0, scales, inputs[0], none, none)
    made = _averaged(writer, layer, inputs[0], operands)
    codes = layer.bias_codes.tolist() or [0] * len(scales)
    reals = layer.bias.tolist() or [0.0] * len(scales)
    rows = zip(layer.scale.tolist(), codes, reals, strict=True)
    biases_of = [Fraction(scale) * code + Fraction(real) for scale, code, real in rows]
    made = shifted(writer, made, biases_of, Fraction(1), len(output.shape), layer.axis)
    writer.node("Identity", [made], output=output.name)


def _averaged(
    writer: OnnxWriter, layer: SummedConvolution, source: Tensor, operands: Sequence[str]
) -> str:
    """A convolution without bias, then the means of its windows, whose padding counts and adds nothing."""
    value, rank = writer.real(source), len(source.shape)
    last = layer.axis != 1
    if last:
        value = writer.node("Transpose", [value], perm=[0, rank - 1, *range(1, rank - 1)])
    made = _conv(writer, layer, value, operands)
    shape = [size for axis, size in enumerate(source.shape[1:], 1) if axis != layer.axis]
    spans = [
        sliding(behind, window.count(size))
        for size, window, behind in zip(
            shape, layer.windows.values(), layer.sum_windows.values(), strict=True
        )
    ]
    made = average(writer, made, spans)
    return writer.node("Transpose", [made], perm=[0, *range(2, rank), 1]) if last else made
