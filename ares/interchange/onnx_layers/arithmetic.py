"""Sums and products of codes, with one rounding: Add, Mul, MatMul, and a factor and an addend a channel."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ares.interchange.meaning import Affine, scale_of
from ares.interchange.onnx_functions import say
from ares.interchange.onnx_layers._finish import finish, scaled, shifted
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor
from ares.ops.add import Add
from ares.ops.attention_context import AttentionContext
from ares.ops.attention_scores import AttentionScores
from ares.ops.batch_norm import BatchNorm
from ares.ops.matmul import Matmul
from ares.ops.mul import Mul


@writes(Add)
def _add(writer: OnnxWriter, layer: Add, inputs: Sequence[Tensor], output: Tensor) -> None:
    target = scale_of(output)
    affine = Affine.of(layer.name, layer.rescale, output, Fraction(1))
    ratios = [affine.ratios[0] * coefficient for coefficient in layer.coefficients]
    # The offset holds all zero points.
    addend = affine.addends[0]
    addend += sum(ratio * each.zero_point for ratio, each in zip(ratios, inputs, strict=True))
    operands = [
        scaled(writer, writer.real(source), [ratio * target / scale_of(source)])
        for source, ratio in zip(inputs, ratios, strict=True)
    ]
    made = shifted(writer, writer.node("Add", operands), [addend], target)
    made = say(writer, affine.function, made)
    writer.codes(made, output, layer.rescale.lo, layer.rescale.hi)


@writes(BatchNorm)
def _batch_norm(
    writer: OnnxWriter, layer: BatchNorm, inputs: Sequence[Tensor], output: Tensor
) -> None:
    value, worth = writer.real(inputs[0]), scale_of(inputs[0])
    finish(writer, layer.name, value, worth, layer.rescale, output, layer.axis)


def _finish_product(
    writer: OnnxWriter,
    layer: AttentionContext | AttentionScores | Matmul | Mul,
    made: str,
    inputs: Sequence[Tensor],
    output: Tensor,
) -> None:
    """From a product of two tensors' reals to codes."""
    worth = scale_of(inputs[0]) * scale_of(inputs[1])
    finish(writer, layer.name, made, worth, layer.rescale, output)


@writes(Mul)
def _mul(writer: OnnxWriter, layer: Mul, inputs: Sequence[Tensor], output: Tensor) -> None:
    made = writer.node("Mul", [writer.real(source) for source in inputs])
    _finish_product(writer, layer, made, inputs, output)


@writes(Matmul)
def _matmul(writer: OnnxWriter, layer: Matmul, inputs: Sequence[Tensor], output: Tensor) -> None:
    made = writer.node("MatMul", [writer.real(source) for source in inputs])
    _finish_product(writer, layer, made, inputs, output)


def _by_heads(
    writer: OnnxWriter, tokens: Tensor, groups: tuple[int, int], heads: int, served: int
) -> str:
    """[1, N, heads * d] as [groups, served, length, d]: a head of keys is repeated for the heads that it serves."""
    _, count, features = tokens.shape
    outer, inner = groups
    length, depth = count // (outer * inner), features // heads
    split = writer.numbers(outer, length, inner, heads, depth)
    value = writer.node("Reshape", [writer.real(tokens), split])
    value = writer.node("Transpose", [value], perm=[0, 2, 3, 1, 4])
    value = writer.node("Reshape", [value, writer.numbers(outer * inner, heads, length, depth)])
    if served != heads:
        places = np.arange(heads).repeat(served // heads).tolist()
        value = writer.node("Gather", [value, writer.numbers(*places)], axis=1)
    return value


@writes(AttentionScores)
def _scores(
    writer: OnnxWriter, layer: AttentionScores, inputs: Sequence[Tensor], output: Tensor
) -> None:
    groups = (layer.outer, layer.inner)
    asked = (1, 1) if layer.shared else groups
    queries = _by_heads(writer, inputs[0], asked, layer.num_heads, layer.num_heads)
    keys = _by_heads(writer, inputs[1], groups, layer.num_kv_heads, layer.num_heads)
    keys = writer.node("Transpose", [keys], perm=[0, 1, 3, 2])
    made = writer.node("MatMul", [queries, keys])
    made = writer.node("Reshape", [made, writer.numbers(*output.shape)])
    _finish_product(writer, layer, made, inputs, output)


@writes(AttentionContext)
def _context(
    writer: OnnxWriter, layer: AttentionContext, inputs: Sequence[Tensor], output: Tensor
) -> None:
    weights, values = inputs
    groups = (layer.outer, layer.inner)
    _, _, asked, length = weights.shape
    split = writer.numbers(layer.outer * layer.inner, layer.num_heads, asked, length)
    by_groups = writer.node("Reshape", [writer.real(weights), split])
    served = _by_heads(writer, values, groups, layer.num_kv_heads, layer.num_heads)
    made = writer.node("MatMul", [by_groups, served])
    outer, inner = (layer.outer * layer.inner, 1) if layer.shared else groups
    depth = output.shape[2] // layer.num_heads
    split = writer.numbers(outer, inner, layer.num_heads, asked, depth)
    made = writer.node("Transpose", [writer.node("Reshape", [made, split])], perm=[0, 3, 1, 2, 4])
    made = writer.node("Reshape", [made, writer.numbers(*output.shape)])
    _finish_product(writer, layer, made, inputs, output)
