"""What layers of sums mean: convolutions, linear layers, averages, each with its rescale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, log, prod
from typing import Any

import numpy as np

from ares.ir import Tensor
from ares.numerics import Rescale
from ares.ops import KernelCall, Site, Struct
from ares.ops._averages import WindowAverage
from ares.ops._convolution import QuantizedConvolution, channels_first
from ares.ops._operation import Array
from ares.ops._transposed import QuantizedTransposedConvolution, outputs_first
from ares.ops.average_fp32 import AverageFp32
from ares.ops.conv1d_depthwise import Conv1dDepthwise
from ares.ops.conv_fp32 import ConvFp32
from ares.ops.conv_sum import ConvSum
from ares.ops.conv_transpose_fp32 import ConvTransposeFp32
from ares.ops.global_avg_pool import GlobalAvgPool
from ares.ops.linear import Linear
from ares.ops.linear_fp32 import LinearFp32
from ares.ops.mean import Mean

Meaning = dict[str, Any]
Axes = Sequence[Sequence[int]]

# Digits in which the numbers of weights are packed: small, so that no sum of them passes int32.
_DIGIT = 64


def rescale_rows(rescales: Sequence[Rescale], channels: int, places: Array) -> Meaning:
    """Rows of constants; `place_rows` [rows, columns] and `channel_rows` [channels] add up to the row of an element."""
    each = max(rescale.channels for rescale in rescales)
    first = rescales[0]
    own = first.thresholds.size > 0
    thresholds = first.thresholds if own else np.arange(first.lo + 1, first.hi + 1)
    stored = first.codes if own else np.arange(first.lo, first.hi + 1)
    rows = len(rescales) * each

    def constants(name: str) -> Array:
        rows_of = [np.broadcast_to(getattr(rescale, name), each) for rescale in rescales]
        return np.concatenate(rows_of).astype(np.int64)

    return {
        "multiplier": constants("multiplier"),
        "offset": constants("offset"),
        "shift": constants("shift"),
        "thresholds": np.broadcast_to(thresholds, (rows, thresholds.shape[-1])).astype(np.int64),
        "limits": np.broadcast_to(stored, (rows, stored.shape[-1])).astype(np.int64),
        "channel_rows": (np.arange(channels) if each > 1 else np.zeros(channels, int))[
            :, None, None
        ],
        "place_rows": places * each,
    }


def image_of(shape: Sequence[int], *axes: Sequence[int]) -> Array:
    """Numbers of a tensor's elements as an image, of whose axes each is a group of the tensor's."""
    rest = [axis for axis in range(len(shape)) if not any(axis in group for group in axes)]
    turned = np.arange(prod(shape)).reshape(shape)
    turned = turned.transpose([*(axis for group in axes for axis in group), *rest])
    return turned.reshape([prod(shape[axis] for axis in group) for group in axes]).astype(np.int32)


def numbers_of(tensor: Tensor) -> Array:
    """The numbers of a tensor's elements, in its shape."""
    return np.arange(prod(tensor.shape)).reshape(tensor.shape)


def image_axes(rank: int, channels: int = 1) -> tuple[list[int], list[int], list[int]]:
    """Channels, rows and columns of a tensor: [1, C, H, W], [1, C, T]; else channels and what is around them."""
    if channels == 1 and rank in (3, 4):
        return [1], [2] if rank == 4 else [], [rank - 1]
    return [channels], list(range(channels)), list(range(channels + 1, rank))


def image_sum(site: Site, rows: Array, columns: Array, weight: Array, **more: Any) -> Meaning:
    """A sum for every place of an image [channels, rows, columns]; `image` and `place` are those of image_of.

    `rows` [out, taps, sources] are numbers of input rows, -1 for none; the same for columns.
    """
    source = site.inputs[0]
    return {
        "type": "sum",
        "real": False,
        "rows": rows,
        "columns": columns,
        "weight": weight,
        "pack": np.zeros(0, np.int32),
        "numbers": np.zeros(0, np.int32),
        "own_sums": False,
        "second_zero": 0,
        "reach": [-127, 127],
        "minus": source.zero_point,
        "outside": source.zero_point,
        "zero": source.zero_point,
        "lo": source.lo,
        "hi": source.hi,
        **more,
    }


def _images(site: Site, axes: Axes, out_axes: Axes) -> Meaning:
    shapes = site.inputs[0].shape, site.outputs[0].shape
    return {"image": image_of(shapes[0], *axes), "place": image_of(shapes[1], *out_axes)}


def _taps(
    size: int, out: int, kernel: int, stride: int, dilation: int, before: int, spread: int = 1
) -> Array:
    """Which place along an axis each tap of each window sees; `spread`: codes have zeros between them."""
    at = np.arange(out)[:, None] * stride + np.arange(kernel) * dilation - before
    inside = (at >= 0) & (at % spread == 0) & (at // spread < size)
    return np.where(inside, at // spread, -1)[:, :, None]


def convolution(operation: QuantizedConvolution, site: Site) -> Meaning:
    """Weights that slide over an image or a signal."""
    before = np.split(np.array(operation.padding), 2)[0].tolist()
    return _sliding(
        operation,
        site,
        arrange=lambda w: w if w.ndim == 4 else w[:, :, None],
        stride=_pair(operation.stride),
        dilation=_pair(operation.dilation),
        before=_pair(before, 0),
    )


def depthwise(operation: Conv1dDepthwise, site: Site) -> Meaning:
    """One kernel for each channel of a signal."""
    return _sliding(operation, site, lambda w: w[:, None, None], before=[0, operation.left])


def linear(operation: Linear | LinearFp32, site: Site) -> Meaning:
    """Weights of one token, whatever axes the tokens have."""
    rank = len(site.inputs[0].shape)
    axes: tuple[list[int], ...] = ([rank - 1], [], list(range(rank - 1)))
    tokens = prod(site.inputs[0].shape[:-1])
    rows, columns = (np.arange(size).reshape(size, 1, 1) for size in (1, tokens))
    return _weighted(operation, site, lambda w: w[:, :, None, None], axes, rows, columns)


def transposed(
    operation: QuantizedTransposedConvolution | ConvTransposeFp32, site: Site
) -> Meaning:
    """A convolution of codes with zeros between them, its kernel turned round."""

    def arrange(weight: Array) -> Array:
        first = outputs_first(weight, operation.groups)
        return (first if first.ndim == 4 else first[:, :, None])[:, :, ::-1, ::-1]

    reach = [
        d * (k - 1) for d, k in zip(operation.dilation, operation.weight.shape[2:], strict=True)
    ]
    before = [r - p for r, p in zip(reach, operation.padding, strict=True)]
    return _sliding(
        operation,
        site,
        arrange,
        dilation=_pair(operation.dilation),
        before=_pair(before, 0),
        spread=_pair(operation.stride),
        raw=False,
    )


def _pair(values: Sequence[int], first: int = 1) -> list[int]:
    """What holds along both axes of an image; a signal is one of one row."""
    return [first, *values] if len(values) == 1 else list(values)


def _sliding(
    operation: Any,
    site: Site,
    arrange: Callable[[Array], Array],
    before: Sequence[int],
    stride: Sequence[int] = (1, 1),
    dilation: Sequence[int] = (1, 1),
    spread: Sequence[int] = (1, 1),
    raw: bool = True,
) -> Meaning:
    """Weights that slide over an image."""
    source, result = site.inputs[0].shape, site.outputs[0].shape
    sizes, out = (_pair(shape[2:]) for shape in (source, result))
    kernel = arrange(operation.weight).shape[2:]
    facts = (sizes, out, kernel, stride, dilation, before, spread)
    rows, columns = (_taps(*each) for each in zip(*facts, strict=True))
    axes = image_axes(len(source))
    return _weighted(operation, site, arrange, axes, rows, columns, raw)


def _weighted(
    operation: Any,
    site: Site,
    arrange: Callable[[Array], Array],
    axes: Axes,
    rows: Array,
    columns: Array,
    raw: bool = True,
) -> Meaning:
    """A layer with weights, which `arrange` brings to [outputs, inputs of a group, rows, columns].

    Kernels of raw codes count padding as zero points, and their constants take back what the sums have too much.
    """
    weight = np.ascontiguousarray(arrange(operation.weight))
    zero = site.inputs[0].zero_point
    places = np.zeros((len(rows), len(columns)), np.int32)
    real = isinstance(operation, LinearFp32 | ConvTransposeFp32)
    facts = (
        _real(operation, places) if real else rescale_rows([operation.rescale], len(weight), places)
    )
    excess = zero * weight.reshape(len(weight), -1).sum(1, dtype=np.int64)
    if raw and real:
        facts["bias_codes"] -= excess[:, None, None]
    elif raw and excess.any():
        if len(facts["multiplier"]) == 1:
            rows_each = {k: np.repeat(facts[k], len(weight), 0) for k in _CONSTANTS}
            facts |= {**rows_each, "channel_rows": np.arange(len(weight))[:, None, None]}
        facts["offset"] = facts["offset"] - facts["multiplier"] * excess
    more = {**_replaceable(operation, site, arrange, weight), "minus": 0 if raw else zero, **facts}
    return image_sum(site, rows, columns, weight, **_images(site, axes, axes), **more)


def _replaceable(
    operation: Any, site: Site, arrange: Callable[[Array], Array], weight: Array
) -> Meaning:
    """Where the weights lie in memory, and their numbers in their natural order."""
    numbers = np.arange(weight.size, dtype=np.int32).reshape(weight.shape)
    return {"pack": _packing(operation, site, arrange), "numbers": numbers}


def _real(operation: Any, places: Array) -> Meaning:
    """Constants of a result that stays real, for each channel."""
    channels = (len(operation.scale), 1, 1)
    codes = getattr(operation, "bias_codes", np.zeros(0))
    return {
        "real": True,
        "scale": operation.scale.reshape(channels),
        "bias": operation.bias.reshape(channels if operation.bias.size else (0,)),
        "bias_codes": (codes if codes.size else np.zeros(channels)).reshape(channels).astype(int),
        "channel_rows": np.zeros(channels, int),
        "place_rows": places,
    }


def summed(operation: ConvSum | ConvFp32, site: Site) -> Meaning:
    """A convolution whose results are summed in windows: each tap sees a code for each of them."""
    source = channels_first(site.inputs[0], operation.axis).shape
    inner, outer = operation.windows, operation.sum_windows
    taps = [np.zeros((1, 1, 1), int)] if len(source) == 3 else []
    for axis, window in inner.items():
        size, results = source[axis], window.count(source[axis])
        at = outer[axis].positions(results)[:, None]
        seen = at * window.stride - window.before
        seen = seen + np.arange(window.kernel)[:, None] * window.dilation
        inside = (at >= 0) & (at < results) & (seen >= 0) & (seen < size)
        taps.append(np.where(inside, seen, -1))
    rows, columns = taps

    def arrange(weight: Array) -> Array:
        return weight if weight.ndim == 4 else weight[:, :, None]

    weight = np.ascontiguousarray(arrange(operation.weight))
    places = np.zeros((len(rows), len(columns)), int)
    if isinstance(operation, ConvFp32):
        facts = _real(operation, places)
    else:
        facts = rescale_rows([operation.rescale], len(weight), places)
    facts |= _replaceable(operation, site, arrange, weight)
    axes = _axes_around(operation.axis, len(source))
    return image_sum(
        site, rows, columns, weight, **_images(site, axes, axes), own_sums=True, **facts
    )


def _axes_around(channels: int, rank: int) -> tuple[list[int], list[int], list[int]]:
    """Channels, rows and columns where the channels lie along that axis and the batch is of one."""
    others = [axis for axis in range(1, rank) if axis != channels]
    return [channels], others[:-1], others[-1:]


def average_fp32(operation: AverageFp32, site: Site) -> Meaning:
    """Windows of codes whose sums stay real."""
    source = channels_first(site.inputs[0], operation.axis).shape
    taps = [np.zeros((1, 1, 1), int)] if len(source) == 3 else []
    for axis, window in operation.windows.items():
        seen = window.positions(source[axis])[:, None]
        taps.append(np.where((seen >= 0) & (seen < source[axis]), seen, -1))
    rows, columns = taps
    axes = _axes_around(operation.axis, len(source))
    facts = _real(operation, np.zeros((len(rows), len(columns)), int))
    weight = np.ones((source[1], 1, 1, 1), np.int64)
    return image_sum(site, rows, columns, weight, **_images(site, axes, axes), **facts)


_CONSTANTS = ("multiplier", "offset", "shift", "thresholds", "limits")


def _packing(operation: Any, site: Site, arrange: Callable[[Array], Array]) -> Array:
    """For every byte of weights in memory the number of the weight in their natural order, -1 for one that fills up."""
    weight = operation.weight
    numbers = np.arange(weight.size).reshape(weight.shape)
    found = np.zeros(0, np.int64)
    for place in range(ceil(log(weight.size + 1, _DIGIT)) + 1):
        digits = ((numbers + 1) // _DIGIT**place % _DIGIT).astype(np.int8)
        call = replace(operation, weight=digits).lower(site)
        assert isinstance(call, KernelCall)
        packed = _field(call.params, "weight").reshape(-1).astype(np.int64)
        found = packed if place == 0 else found + packed * _DIGIT**place
    inverse = np.empty(weight.size, np.int64)
    inverse[arrange(numbers).reshape(-1)] = np.arange(weight.size)
    return np.where(found > 0, inverse[found - 1], -1).astype(np.int32)


def _field(struct: Struct, name: str) -> Array:
    for key, value in struct.fields:
        if key == name:
            return np.asarray(value)
        if isinstance(value, Struct) and name in dict(value.fields):
            return _field(value, name)
    raise LookupError(f"{struct.type} has no field {name}")


def _windows(bounds: Sequence[Sequence[int]]) -> Array:
    """Taps of windows that are sums: [windows, 1, places], -1 fills up."""
    longest = max(1, *(end - start for start, end in bounds))
    at = np.array([start for start, _ in bounds])[:, None] + np.arange(longest)
    return np.where(at < np.array([end for _, end in bounds])[:, None], at, -1)[:, None]


def average(operation: WindowAverage, site: Site) -> Meaning:
    """Windows, each with the constants of what it counts."""
    source = site.inputs[0].shape
    axes = operation.counted(source)
    bounds = [
        [[min(start, max(0, end)), max(0, end)] for start, end in axis.inside] for axis in axes
    ]
    places = np.zeros(1, np.int64)
    for axis in axes:
        windows = [axis.place(i) for i in range(axis.span.out)]
        places = (places[:, None] * len(axis.sizes) + np.array(windows)).reshape(-1)
    one_row = [[[0, 1]]] if len(source) == 3 else []
    bounds = [*one_row, *bounds]
    places = places.reshape(*(len(each) for each in bounds))
    groups = image_axes(len(source))
    return _summed(operation.constants, site, groups, groups, bounds, places)


def _summed(
    rescales: Sequence[Rescale],
    site: Site,
    axes: Axes,
    out_axes: Axes,
    bounds: Sequence[Sequence[Sequence[int]]],
    places: Array | None = None,
) -> Meaning:
    """Sums of codes, without weights, between bounds along rows and columns."""
    channels = prod(site.inputs[0].shape[axis] for axis in axes[0])
    weight = np.ones((channels, 1, 1, 1), np.int64)
    rows, columns = map(_windows, bounds)
    if places is None:
        places = np.zeros((len(rows), len(columns)), np.int32)
    facts = rescale_rows(rescales, channels, places)
    return image_sum(site, rows, columns, weight, **_images(site, axes, out_axes), **facts)


def mean(operation: Mean, site: Site) -> Meaning:
    """Axes that are summed as windows, those that are kept as windows of one."""
    source, axes = site.inputs[0].shape, operation.axes
    rank = len(source)
    channels = operation.channel_axis(rank)
    if channels in axes:
        channels = next((a for a in range(1, rank) if a not in axes), 0)
    others = [[axis] for axis in range(rank) if axis not in (0, channels)]
    if len(others) == 3:  # everything is summed: the batch is the one channel
        others = [others[0], [*others[1], *others[2]]]
    others = [*[[]] * (2 - len(others)), *others]
    sizes = [prod(source[axis] for axis in group) for group in others]
    bounds = [
        [[0, size]] if group and group[0] in axes else [[i, i + 1] for i in range(size)]
        for group, size in zip(others, sizes, strict=True)
    ]
    # What is summed is gone from the result, or of size one.
    kept = [axis for axis in range(rank) if operation.keepdim or axis not in axes]
    groups = [[kept.index(a) for a in group if a in kept] for group in ([channels], *others)]
    return _summed([operation.rescale], site, ([channels], *others), groups, bounds)


def global_average(operation: GlobalAvgPool, site: Site) -> Meaning:
    """One window, which is the image."""
    shape = site.inputs[0].shape
    bounds = [[[0, shape[2]]], [[0, shape[3]]]]
    gone: tuple[list[int], ...] = ([1], [], [])
    return _summed([operation.rescale], site, image_axes(4), gone, bounds)
