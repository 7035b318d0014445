"""Normalisations: LayerNormalization, InstanceNormalization of groups, and a root mean square in its parts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import numpy as np

from ares.interchange.meaning import Affine, Reals, nearest, relative, scale_of
from ares.interchange.onnx_functions import say
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor
from ares.numerics.norms import root_bits
from ares.ops._norms import NormOperation
from ares.ops.group_norm import GroupNorm
from ares.ops.layer_norm import LayerNorm
from ares.ops.rms_norm import RmsNorm


@writes(LayerNorm)
def _layer_norm(
    writer: OnnxWriter, layer: LayerNorm, inputs: Sequence[Tensor], output: Tensor
) -> None:
    affine, gammas, betas = _constants(writer, layer, inputs[0], output)
    shape = inputs[0].shape[-layer.axes :]
    operands = [writer.constant(_spread(each, shape)) for each in (gammas, betas)]
    made = writer.node(
        "LayerNormalization",
        [writer.real(inputs[0]), *operands],
        axis=-layer.axes,
        epsilon=_epsilon(writer, layer, inputs[0]),
    )
    made = say(writer, affine.function, made)
    writer.codes(made, output, layer.rescale.lo, layer.rescale.hi)


@writes(RmsNorm)
def _rms_norm(writer: OnnxWriter, layer: RmsNorm, inputs: Sequence[Tensor], output: Tensor) -> None:
    x, axes = writer.real(inputs[0]), [*range(-layer.axes, 0)]
    mean = writer.node("ReduceMean", [writer.node("Mul", [x, x])], axes=axes, keepdims=1)
    epsilon = np.array(_epsilon(writer, layer, inputs[0]), np.float32)
    root = writer.node("Sqrt", [writer.node("Add", [mean, writer.constant(epsilon)])])
    made = writer.node("Div", [x, root])
    shape = inputs[0].shape[-layer.axes :]
    _scale_and_shift(writer, layer, made, shape, inputs[0], output)


@writes(GroupNorm)
def _group_norm(
    writer: OnnxWriter, layer: GroupNorm, inputs: Sequence[Tensor], output: Tensor
) -> None:
    rows, channels, *rest = inputs[0].shape
    split = writer.numbers(rows, layer.groups, channels // layer.groups * prod(rest))
    value = writer.node("Reshape", [writer.real(inputs[0]), split])
    ends = [np.full(layer.groups, number, np.float32) for number in (1, 0)]
    made = writer.node(
        "InstanceNormalization",
        [value, *(writer.constant(end) for end in ends)],
        epsilon=_epsilon(writer, layer, inputs[0]),
    )
    made = writer.node("Reshape", [made, writer.numbers(*output.shape)])
    shape = (channels, *(1 for _ in rest))
    _scale_and_shift(writer, layer, made, shape, inputs[0], output)


def _scale_and_shift(
    writer: OnnxWriter,
    layer: NormOperation,
    made: str,
    shape: tuple[int, ...],
    source: Tensor,
    output: Tensor,
) -> None:
    """From normalised values to codes; gamma and beta get the shape of the elements that have their own."""
    affine, gammas, betas = _constants(writer, layer, source, output)
    made = writer.node("Mul", [made, writer.constant(_spread(gammas, shape))])
    if betas.any():
        made = writer.node("Add", [made, writer.constant(_spread(betas, shape))])
    made = say(writer, affine.function, made)
    writer.codes(made, output, layer.rescale.lo, layer.rescale.hi)


def _spread(values: Reals, shape: tuple[int, ...]) -> Reals:
    return np.ascontiguousarray(np.broadcast_to(values, (prod(shape),)).reshape(shape))


def _count(layer: NormOperation, source: Tensor) -> int:
    _, _, width, positions = layer.split(source)
    return width * positions


def _constants(
    writer: OnnxWriter, layer: NormOperation, source: Tensor, output: Tensor
) -> tuple[Affine, Reals, Reals]:
    """The function behind, gamma and beta in binary32: what N11's constants were planned from."""
    affine = Affine.of(layer.name, layer.rescale, output, Fraction(1))
    unit = scale_of(output)
    gain = 2 ** (30 - root_bits(_count(layer, source))) * unit
    gammas = np.array([nearest(ratio * gain) for ratio in affine.ratios], np.float32)
    betas = np.array([nearest(addend * unit) for addend in affine.addends], np.float32)
    rows = zip(gammas.tolist(), affine.ratios, affine.addends, strict=True)
    for real, ratio, addend in rows:
        writer.depart("a weight in binary32", relative(Fraction(real), ratio * gain, addend))
    for real, addend in zip(betas.tolist(), affine.addends, strict=True):
        writer.depart("a bias in binary32", abs(Fraction(real) / unit - addend))
    return affine, gammas, betas


def _epsilon(writer: OnnxWriter, layer: NormOperation, source: Tensor) -> float:
    added = Fraction(layer.variance_offset, 2**layer.variance_shift)
    epsilon = added * scale_of(source) ** 2 / _count(layer, source) ** 2
    written = nearest(epsilon)
    # It stands under a root.
    writer.depart("its epsilon in binary32", relative(Fraction(float(written)), epsilon) / 2)
    return float(written)
