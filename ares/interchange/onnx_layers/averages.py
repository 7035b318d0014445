"""Means of codes, with one rounding: AveragePool where it can say the windows and what they count, ReduceMean."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import numpy as np
import numpy.typing as npt

from ares.interchange.meaning import Affine, UnsaidError, is_average, nearest, relative, scale_of
from ares.interchange.onnx_functions import say
from ares.interchange.onnx_layers._finish import finish, scaled, shifted
from ares.interchange.onnx_layers._windows import average, sliding_attributes, sums, window_sizes
from ares.interchange.onnx_writer import OnnxWriter, writes
from ares.ir import Tensor
from ares.ops._averages import Counted, WindowAverage, divisors
from ares.ops._convolution import channels_first
from ares.ops._spans import sliding
from ares.ops.adaptive_avg_pool1d import AdaptiveAvgPool1d
from ares.ops.adaptive_avg_pool2d import AdaptiveAvgPool2d
from ares.ops.average_fp32 import AverageFp32
from ares.ops.avg_pool1d import AvgPool1d
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.global_avg_pool import GlobalAvgPool
from ares.ops.mean import Mean
from ares.ops.trunc_avg_pool2d import TruncAvgPool2d
from ares.ops.uneven_avg_pool2d import UnevenAvgPool2d

_CUT_OTHERWISE = "TruncAvgPool2d cuts bits off towards zero, or sends ties below zero up; ONNX rounds half to even"


@writes(GlobalAvgPool)
def _global_avg_pool(
    writer: OnnxWriter, layer: GlobalAvgPool, inputs: Sequence[Tensor], output: Tensor
) -> None:
    worth = scale_of(inputs[0]) / prod(inputs[0].shape[2:])
    made = writer.node("GlobalAveragePool", [writer.real(inputs[0])])
    finish(writer, layer.name, made, worth, layer.rescale, output)


@writes(Mean)
def _mean(writer: OnnxWriter, layer: Mean, inputs: Sequence[Tensor], output: Tensor) -> None:
    worth = scale_of(inputs[0]) / prod(inputs[0].shape[axis] for axis in layer.axes)
    made = writer.node(
        "ReduceMean", [writer.real(inputs[0])], axes=layer.axes, keepdims=int(layer.keepdim)
    )
    axis = 1 if 1 not in layer.axes else len(output.shape) - 1
    finish(writer, layer.name, made, worth, layer.rescale, output, axis)


@writes(AverageFp32)
def _average_fp32(
    writer: OnnxWriter, layer: AverageFp32, inputs: Sequence[Tensor], output: Tensor
) -> None:
    (source,), rank = inputs, len(inputs[0].shape)
    value, is_last = writer.real(source), layer.axis != 1
    if is_last:
        value = writer.node("Transpose", [value], perm=[0, rank - 1, *range(1, rank - 1)])
    shape = channels_first(source, layer.axis).shape
    spans = [sliding(window, shape[axis]) for axis, window in layer.windows.items()]
    value = average(writer, value, spans)
    if is_last:
        value = writer.node("Transpose", [value], perm=[0, *range(2, rank), 1])
    worth = scale_of(source) / prod(layer.window)
    factors = [Fraction(scale) / worth for scale in layer.scale.tolist()]
    value = scaled(writer, value, factors, rank, layer.axis)
    if layer.bias.any():
        biases = [Fraction(real) for real in layer.bias.tolist()]
        value = shifted(writer, value, biases, Fraction(1), rank, layer.axis)
    writer.node("Identity", [value], output=output.name)


@writes(AdaptiveAvgPool1d, AdaptiveAvgPool2d, AvgPool1d, AvgPool2d, TruncAvgPool2d, UnevenAvgPool2d)
def _window_average(
    writer: OnnxWriter, layer: WindowAverage, inputs: Sequence[Tensor], output: Tensor
) -> None:
    (source,) = inputs
    axes = layer.counted(source.shape)
    spans = [axis.span for axis in axes]
    if len(layer.constants) == 1:
        made = average(writer, writer.real(source), spans)
        worth = scale_of(source) / prod(window_sizes(spans))
        try:
            finish(writer, layer.name, made, worth, layer.constants[0], output)
        except UnsaidError as error:
            if not isinstance(layer, TruncAvgPool2d):
                raise
            raise UnsaidError(f"layer {layer.name}: {_CUT_OTHERWISE}") from error
        return
    ((lo, hi),) = {(rescale.lo, rescale.hi) for rescale in layer.constants}
    attributes = sliding_attributes(spans)
    places = _places(axes)
    counts = np.array(divisors(axes))[places]
    if not all(
        is_average(layer.constants[place], scale_of(source) / scale_of(output) / count, output)
        for place, count in {*zip(places.flat, counts.flat, strict=True)}
    ):
        made = _by_places(writer, layer, places, source, output)
    elif attributes is not None and all(axis.first == 0 for axis in axes):
        made = writer.node("AveragePool", [writer.real(source)], count_include_pad=0, **attributes)
    else:
        made = sums(writer, writer.real(source), spans)
        made = writer.node("Div", [made, writer.constant(counts.astype(np.float32))])
    writer.codes(made, output, lo, hi)


def _places(axes: Sequence[Counted]) -> npt.NDArray[np.int64]:
    """Which of the constants each window has, in the shape of the windows."""
    places = np.zeros((), np.int64)
    for axis in axes:
        windows = np.array([axis.place(window) for window in range(axis.span.out)])
        places = places[..., None] * len(axis.sizes) + windows
    return places


def _by_places(
    writer: OnnxWriter,
    layer: WindowAverage,
    places: npt.NDArray[np.int64],
    source: Tensor,
    output: Tensor,
) -> str:
    """Sums of windows times factors, and with addends, each of which is a window's own."""
    unit = scale_of(source) / scale_of(output)
    channels = max(rescale.channels for rescale in layer.constants)
    factors, addends = np.ones((2, channels, *places.shape), np.float32)
    functions = set()
    for place in {*places.flat}:
        affine = Affine.of(layer.name, layer.constants[place], output, unit).for_channels(channels)
        functions.add(affine.function)
        rows = zip(affine.ratios, affine.addends, strict=True)
        for channel, (ratio, addend) in enumerate(rows):
            factor, added = nearest(ratio / unit), nearest(addend * scale_of(output))
            writer.depart(
                "a factor in binary32",
                relative(Fraction(float(factor)), ratio / unit, addend),
            )
            off = abs(Fraction(float(added)) / scale_of(output) - addend)
            writer.depart("an added constant in binary32", off)
            factors[channel][places == place] = factor
            addends[channel][places == place] = added
    if len(functions) > 1:
        raise UnsaidError(f"layer {layer.name}: functions that differ from window to window")
    spans = [axis.span for axis in layer.counted(source.shape)]
    made = sums(writer, writer.real(source), spans)
    made = writer.node("Mul", [made, writer.constant(factors)])
    if addends.any():
        made = writer.node("Add", [made, writer.constant(addends)])
    return say(writer, functions.pop(), made)
