"""Layers that move codes or look them up in tables of their own: reals of one grid on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ares.interchange.onnx_layers._windows import maximum
from ares.interchange.onnx_layers.tables import looked_up
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import DType, Tensor
from ares.ops._maxima import WindowMaximum
from ares.ops.adaptive_max_pool1d import AdaptiveMaxPool1d
from ares.ops.adaptive_max_pool2d import AdaptiveMaxPool2d
from ares.ops.concat import Concat
from ares.ops.constant import Constant
from ares.ops.embedding import Embedding
from ares.ops.flatten import Flatten
from ares.ops.flip import Flip
from ares.ops.max_pool1d import MaxPool1d
from ares.ops.max_pool2d import MaxPool2d
from ares.ops.pad2d import Pad2d
from ares.ops.permute import Permute
from ares.ops.reshape import Reshape
from ares.ops.slice import Slice
from ares.ops.squeeze import Squeeze
from ares.ops.upsample_nearest2d import UpsampleNearest2d
from ares.ops.zero_pad2d import ZeroPad2d


def _moved(writer: OnnxWriter, value: str, output: Tensor) -> None:
    """The end of a layer that computes nothing: reals stay, codes are quantised on the grid that they came from."""
    if output.scale is None or output.dtype is DType.S32:
        writer.node("Identity", [value], output=output.name)
    else:
        writer.codes(value, output, output.dtype.lo, output.dtype.hi, is_moved=True)


@writes(Reshape, Flatten, Squeeze)
def _reshape(writer: OnnxWriter, layer: Reshape, inputs: Sequence[Tensor], output: Tensor) -> None:
    shape = writer.numbers(*output.shape)
    _moved(writer, writer.node("Reshape", [_values(writer, inputs[0]), shape]), output)


@writes(Permute)
def _permute(writer: OnnxWriter, layer: Permute, inputs: Sequence[Tensor], output: Tensor) -> None:
    made = writer.node("Transpose", [_values(writer, inputs[0])], perm=layer.axes)
    _moved(writer, made, output)


@writes(Slice)
def _slice(writer: OnnxWriter, layer: Slice, inputs: Sequence[Tensor], output: Tensor) -> None:
    end = layer.start + (layer.count - 1) * layer.step + 1
    words = [writer.numbers(number) for number in (layer.start, end, layer.axis, layer.step)]
    _moved(writer, writer.node("Slice", [_values(writer, inputs[0]), *words]), output)


@writes(Flip)
def _flip(writer: OnnxWriter, layer: Flip, inputs: Sequence[Tensor], output: Tensor) -> None:
    size = inputs[0].shape[layer.axis]
    words = [writer.numbers(number) for number in (-1, -size - 1, layer.axis, -1)]
    _moved(writer, writer.node("Slice", [_values(writer, inputs[0]), *words]), output)


@writes(Pad2d, UpsampleNearest2d)
def _take(writer: OnnxWriter, layer: Pad2d, inputs: Sequence[Tensor], output: Tensor) -> None:
    value, rank = _values(writer, inputs[0]), len(output.shape)
    for axis, places in ((rank - 2, layer.rows), (rank - 1, layer.columns)):
        if places.size and not np.array_equal(places, np.arange(inputs[0].shape[axis])):
            indices = writer.numbers(*places.tolist())
            value = writer.node("Gather", [value, indices], axis=axis)
    _moved(writer, value, output)


@writes(ZeroPad2d)
def _zero_pad(
    writer: OnnxWriter, layer: ZeroPad2d, inputs: Sequence[Tensor], output: Tensor
) -> None:
    top, left, bottom, right = layer.padding
    rank = len(output.shape)
    before, behind = [0] * rank, [0] * rank
    before[-1], behind[-1] = left, right
    if rank > 2:
        before[-2], behind[-2] = top, bottom
    sizes = writer.numbers(*before, *behind)
    _moved(writer, writer.node("Pad", [writer.real(inputs[0]), sizes]), output)


@writes(AdaptiveMaxPool1d, AdaptiveMaxPool2d, MaxPool1d, MaxPool2d)
def _max_pool(
    writer: OnnxWriter, layer: WindowMaximum, inputs: Sequence[Tensor], output: Tensor
) -> None:
    spans = layer.spans(inputs[0].shape)
    _moved(writer, maximum(writer, writer.real(inputs[0]), spans), output)


@writes(Constant)
def _constant(
    writer: OnnxWriter, layer: Constant, inputs: Sequence[Tensor], output: Tensor
) -> None:
    codes = layer.codes.reshape(output.shape).astype(output.dtype.numpy)
    writer.node("Identity", [writer.constant(codes)], output=output.name)


@writes(Embedding)
def _embedding(
    writer: OnnxWriter, layer: Embedding, inputs: Sequence[Tensor], output: Tensor
) -> None:
    table = writer.constant(layer.table.astype(output.dtype.numpy))
    writer.node("Gather", [table, inputs[0].name], output=output.name, axis=0)


@writes(Concat)
def _concat(writer: OnnxWriter, layer: Concat, inputs: Sequence[Tensor], output: Tensor) -> None:
    parts = [
        looked_up(writer, table, source, output) if table.size else _values(writer, source)
        for source, table in zip(inputs, layer.tables, strict=True)
    ]
    made = writer.node("Concat", parts, axis=layer.axis)
    if any(table.size for table in layer.tables):
        writer.codes(made, output)
    else:
        _moved(writer, made, output)


def _values(writer: OnnxWriter, source: Tensor) -> str:
    """What moves: token ids as they are, all else in reals."""
    return source.name if source.dtype is DType.S32 else writer.real(source)
