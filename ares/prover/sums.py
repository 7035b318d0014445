"""What layers of sums mean: convolutions, linear layers, averages, each with its rescale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, log, prod
from typing import Any

import numpy as np

from ares.numerics import Rescale
from ares.ops import KernelCall, Site, Struct
from ares.ops._averages import WindowAverage
from ares.ops._convolution import QuantizedConvolution
from ares.ops._operation import Array
from ares.ops._transposed import QuantizedTransposedConvolution, outputs_first
from ares.ops.conv1d_depthwise import Conv1dDepthwise
from ares.ops.global_avg_pool import GlobalAvgPool
from ares.ops.linear import Linear
from ares.ops.mean import Mean

Meaning = dict[str, Any]

# Digits in which the numbers of weights are packed: small, so that no sum of them passes int32.
_DIGIT = 64


def _rescale(rescales: Sequence[Rescale], channels: int, places: Array) -> Meaning:
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


def strides_of(shape: Sequence[int], *axes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Sizes and strides, in PyTorch's order, of groups of neighbouring axes seen as one each."""
    full = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    sizes = [prod(shape[axis] for axis in group) for group in axes]
    return sizes, [full[group[-1]] if group else 1 for group in axes]


def image_axes(rank: int, channels: int = 1) -> tuple[list[int], list[int], list[int]]:
    """Channels, rows and columns of a tensor: [1, C, H, W], [1, C, T]; else channels and what is around them."""
    if channels == 1 and rank in (3, 4):
        return [1], [2] if rank == 4 else [], [rank - 1]
    return [channels], list(range(channels)), list(range(channels + 1, rank))


def _sum(
    site: Site,
    axes: Sequence[Sequence[int]],
    out_axes: Sequence[Sequence[int]],
    rows: Array,
    columns: Array,
    weight: Array,
    **more: Any,
) -> Meaning:
    """A sum for every place of an image [channels, rows, columns], of which the axes are given.

    `rows` [out, taps, sources] are numbers of input rows, -1 for none; the same for columns.
    """
    image, strides_in = strides_of(site.inputs[0].shape, *axes)
    return {
        "type": "sum",
        "image": image,
        "strides_in": strides_in,
        "strides_out": strides_of(site.outputs[0].shape, *out_axes)[1],
        "rows": rows,
        "columns": columns,
        "weight": weight,
        "pack": np.zeros(0, np.int32),
        "minus": site.inputs[0].zero_point,
        "outside": site.inputs[0].zero_point,
        "zero": site.inputs[0].zero_point,
        "lo": site.inputs[0].lo,
        "hi": site.inputs[0].hi,
        **more,
    }


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


def linear(operation: Linear, site: Site) -> Meaning:
    """Weights of one token, whatever axes the tokens have."""
    rank = len(site.inputs[0].shape)
    axes: tuple[list[int], ...] = ([rank - 1], [], list(range(rank - 1)))
    tokens = prod(site.inputs[0].shape[:-1])
    rows, columns = (np.arange(size).reshape(size, 1, 1) for size in (1, tokens))
    return _weighted(operation, site, lambda w: w[:, :, None, None], axes, rows, columns)


def transposed(operation: QuantizedTransposedConvolution, site: Site) -> Meaning:
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
    axes: Sequence[Sequence[int]],
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
    facts = _rescale([operation.rescale], len(weight), places)
    if raw:
        excess = zero * weight.reshape(len(weight), -1).sum(1, dtype=np.int64)
        if excess.any() and len(facts["multiplier"]) == 1:
            rows_each = {k: np.repeat(facts[k], len(weight), 0) for k in _CONSTANTS}
            facts |= {**rows_each, "channel_rows": np.arange(len(weight))[:, None, None]}
        if excess.any():
            facts["offset"] = facts["offset"] - facts["multiplier"] * excess
    pack = _packing(operation, site, arrange)
    more = {"pack": pack, "minus": 0 if raw else zero, **facts}
    return _sum(site, axes, axes, rows, columns, weight, **more)


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
    axes: Sequence[Sequence[int]],
    out_axes: Sequence[Sequence[int]],
    bounds: Sequence[Sequence[Sequence[int]]],
    places: Array | None = None,
) -> Meaning:
    """Sums of codes, without weights, between bounds along rows and columns."""
    channels = strides_of(site.inputs[0].shape, *axes)[0][0]
    weight = np.ones((channels, 1, 1, 1), np.int64)
    rows, columns = map(_windows, bounds)
    if places is None:
        places = np.zeros((len(rows), len(columns)), np.int32)
    facts = _rescale(rescales, channels, places)
    return _sum(site, axes, out_axes, rows, columns, weight, **facts)


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
    sizes = strides_of(source, *others)[0]
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
