"""Transposed convolutions: ConvTranspose with int8 weights a channel and their bias."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ares.interchange.meaning import Affine, scale_of
from ares.interchange.onnx_functions import say
from ares.interchange.onnx_layers._weights import real_weights_of, weights_of
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor
from ares.ops._transposed import TransposedConvolution, outputs_first
from ares.ops.conv_transpose1d import ConvTranspose1d
from ares.ops.conv_transpose2d import ConvTranspose2d
from ares.ops.conv_transpose_fp32 import ConvTransposeFp32


@writes(ConvTranspose1d, ConvTranspose2d)
def _transposed(
    writer: OnnxWriter,
    layer: ConvTranspose1d | ConvTranspose2d,
    inputs: Sequence[Tensor],
    output: Tensor,
) -> None:
    unit = scale_of(inputs[0]) / scale_of(output)
    affine = Affine.of(layer.name, layer.rescale, output, unit).for_channels(output.shape[1])
    weight, axis = _with_outputs(layer)
    operands = weights_of(writer, weight, axis, affine, inputs[0], output)
    made = say(writer, affine.function, _conv(writer, layer, inputs[0], operands))
    writer.codes(made, output, layer.rescale.lo, layer.rescale.hi)


@writes(ConvTransposeFp32)
def _transposed_fp32(
    writer: OnnxWriter, layer: ConvTransposeFp32, inputs: Sequence[Tensor], output: Tensor
) -> None:
    weight, axis = _with_outputs(layer)
    scales = [Fraction(scale) for scale in layer.scale.tolist()]
    biases = (layer.bias_codes, layer.bias)
    operands = real_weights_of(writer, weight, axis, scales, inputs[0], *biases)
    made = _conv(writer, layer, inputs[0], operands)
    writer.node("Identity", [made], output=output.name)


def _with_outputs(layer: TransposedConvolution) -> tuple[npt.NDArray[np.int8], int]:
    """Weights in which each output has a place of its own along an axis: of groups, that is no axis of ONNX's."""
    if layer.groups == 1:
        return layer.weight, 1
    return outputs_first(layer.weight, layer.groups), 0


def _conv(
    writer: OnnxWriter, layer: TransposedConvolution, source: Tensor, operands: Sequence[str]
) -> str:
    weights, *bias = operands
    ins, outs, *kernel = layer.weight.shape
    groups = layer.groups
    if groups > 1:
        split = writer.numbers(groups, outs, ins // groups, *kernel)
        weights = writer.node("Reshape", [weights, split])
        weights = writer.node("Transpose", [weights], perm=[0, 2, 1, *range(3, 3 + len(kernel))])
        weights = writer.node("Reshape", [weights, writer.numbers(ins, outs, *kernel)])
    return writer.node(
        "ConvTranspose",
        [writer.real(source), weights, *bias],
        kernel_shape=kernel,
        strides=layer.stride,
        pads=[*layer.padding, *layer.padding],
        output_padding=layer.output_padding,
        dilations=layer.dilation,
        group=groups,
    )
