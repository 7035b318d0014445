"""What a layer means, as data: what tools/check_certificate.py takes to say which integers are right.

One function for each kind of layer, in MEANINGS. An operation that stands in no row is judged by samples, so that a
new one never gets a certificate for every input by itself. Values: bool, int, str, lists, and arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import ceil, log, prod
from typing import Any

import numpy as np

from ares.numerics import Rescale
from ares.ops import KernelCall, KernelOperation, Site, Struct
from ares.ops._averages import WindowAverage
from ares.ops._convolution import QuantizedConvolution
from ares.ops._lookup import LookupOperation
from ares.ops._maxima import WindowMaximum
from ares.ops._moves import ReshapeOperation
from ares.ops._operation import Array
from ares.ops._take import TakeOperation
from ares.ops._transposed import QuantizedTransposedConvolution, outputs_first
from ares.ops.add import Add
from ares.ops.batch_norm import BatchNorm
from ares.ops.concat import Concat
from ares.ops.constant import Constant
from ares.ops.conv1d_depthwise import Conv1dDepthwise
from ares.ops.embedding import Embedding
from ares.ops.flip import Flip
from ares.ops.global_avg_pool import GlobalAvgPool
from ares.ops.linear import Linear
from ares.ops.mean import Mean
from ares.ops.mul import Mul
from ares.ops.permute import Permute
from ares.ops.quantize import Quantize
from ares.ops.slice import Slice
from ares.ops.zero_pad2d import ZeroPad2d

Meaning = dict[str, Any]

_NO_TABLE = np.zeros(0, np.uint8)
# Digits in which the numbers of weights are packed: small, so that no sum of them passes int32.
_DIGIT = 64


def meaning_of(operation: KernelOperation, site: Site) -> Meaning | None:
    """What the operation means; None where only samples are left. `site` has the planned layouts."""
    for kind, mean in MEANINGS:
        if isinstance(operation, kind):
            return mean(operation, site)
    return None


def _rescale(rescale: Rescale) -> Meaning:
    return {
        "multiplier": rescale.multiplier,
        "offset": rescale.offset,
        "shift": rescale.shift,
        "limits": [rescale.lo, rescale.hi],
        "thresholds": rescale.thresholds,
        "codes": rescale.codes,
    }


def _sum(
    rescales: Sequence[Rescale],
    image: Sequence[int],
    axis: int,
    out_axis: int,
    positions: int,
    **more: Any,
) -> Meaning:
    """A sum for each of `positions` and channels; `image` is [channels, rows, columns], its channels along `axis`."""
    return {
        "type": "sum",
        "rescales": [_rescale(rescale) for rescale in rescales],
        "image": list(image),
        "axis": axis,
        "out_axis": out_axis,
        "positions": positions,
        "places": np.zeros(positions, np.int64),
        "weight": None,
        "raw": False,
        "single": False,
        **more,
    }


def _convolution(operation: QuantizedConvolution, site: Site) -> Meaning:
    before, after = np.split(np.array(operation.padding), 2)
    return _weighted(
        operation,
        site,
        arrange=lambda w: w if w.ndim == 4 else w[:, :, None],
        stride=_pair(operation.stride),
        dilation=_pair(operation.dilation),
        padding=[*_pair(before.tolist(), 0), *_pair(after.tolist(), 0)],
        groups=operation.groups,
    )


def _depthwise(operation: Conv1dDepthwise, site: Site) -> Meaning:
    channels, kernel = operation.weight.shape
    return _weighted(
        operation,
        site,
        arrange=lambda w: w[:, None, None],
        padding=[0, operation.left, 0, kernel - 1 - operation.left],
        groups=channels,
    )


def _linear(operation: Linear, site: Site) -> Meaning:
    shape = site.inputs[0].shape
    image = [shape[-1], 1, prod(shape[:-1])]
    last = len(shape) - 1
    return _weighted(
        operation,
        site,
        arrange=lambda w: w[:, :, None, None],
        image=image,
        axis=last,
        out_axis=last,
        out=image[1:],
    )


def _transposed(operation: QuantizedTransposedConvolution, site: Site) -> Meaning:

    def arrange(weight: Array) -> Array:
        first = outputs_first(weight, operation.groups)
        return (first if first.ndim == 4 else first[:, :, None])[:, :, ::-1, ::-1]

    reach = [
        d * (k - 1) for d, k in zip(operation.dilation, operation.weight.shape[2:], strict=True)
    ]
    before = [r - p for r, p in zip(reach, operation.padding, strict=True)]
    after = [b + o for b, o in zip(before, operation.output_padding, strict=True)]
    return _weighted(
        operation,
        site,
        arrange=arrange,
        spread=_pair(operation.stride),
        dilation=_pair(operation.dilation),
        padding=[*_pair(before, 0), *_pair(after, 0)],
        groups=operation.groups,
        raw=False,
    )


def _pair(values: Sequence[int], first: int = 1) -> list[int]:
    """What holds along both axes of an image; a signal is one of one row."""
    return [first, *values] if len(values) == 1 else list(values)


def _weighted(
    operation: Any, site: Site, arrange: Callable[[Array], Array], **more: Any
) -> Meaning:
    """A layer with weights, which `arrange` brings to [outputs, inputs of a group, rows, columns]."""
    source, result = site.inputs[0].shape, site.outputs[0].shape
    natural = np.ascontiguousarray(arrange(operation.weight))
    image = more.pop("image", [source[1], *([1] if len(source) == 3 else []), *source[2:]])
    out = more.pop("out", [*([1] if len(result) == 3 else []), *result[2:]])
    facts: Meaning = {
        "stride": [1, 1],
        "dilation": [1, 1],
        "padding": [0, 0, 0, 0],
        "spread": [1, 1],
        "groups": 1,
        "raw": True,
        "axis": 1,
        "out_axis": 1,
        **more,
    }
    return _sum(
        [operation.rescale],
        image,
        facts.pop("axis"),
        facts.pop("out_axis"),
        prod(out),
        channels=len(natural),
        weight=natural,
        pack=_packing(operation, site, arrange),
        out=out,
        **facts,
    )


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


def _average(operation: WindowAverage, site: Site) -> Meaning:
    source, result = site.inputs[0].shape, site.outputs[0].shape
    axes = operation.counted(source)
    bounds = [
        [[min(start, max(0, end)), max(0, end)] for start, end in axis.inside] for axis in axes
    ]
    places = np.zeros(1, np.int64)
    for axis in axes:
        windows = [axis.place(i) for i in range(axis.span.out)]
        places = (places[:, None] * len(axis.sizes) + np.array(windows)).reshape(-1)
    one_row = [[[0, 1]]] if len(source) == 3 else []
    image = [source[1], *([1] if len(source) == 3 else []), *source[2:]]
    more = {"channels": source[1], "bounds": [*one_row, *bounds], "places": places}
    return _sum(operation.constants, image, 1, 1, prod(result[2:]), **more)


def _mean(operation: Mean, site: Site) -> Meaning:
    source, axes = site.inputs[0].shape, operation.axes
    rank = len(source)
    channels = operation.channel_axis(rank)
    if channels in axes:
        channels = next((a for a in range(1, rank) if a not in axes), 0)
    others = [axis for axis in range(rank) if axis not in (0, channels)]
    bounds = [
        [[0, source[axis]]] if axis in axes else [[i, i + 1] for i in range(source[axis])]
        for axis in others
    ]
    image = [source[axis] for axis in others]
    if len(others) == 3:  # everything is summed: the batch is the one channel
        image, bounds = [image[0], image[1] * image[2]], [bounds[0], [[0, image[1] * image[2]]]]
    ones = 2 - len(image)
    out_axis = channels if operation.keepdim else sum(a not in axes for a in range(channels))
    positions = prod(len(each) for each in bounds)
    more = {"channels": source[channels], "bounds": [[[0, 1]]] * ones + bounds}
    return _sum(
        [operation.rescale],
        [source[channels], *[1] * ones, *image],
        channels,
        out_axis,
        positions,
        **more,
    )


def _global_average(operation: GlobalAvgPool, site: Site) -> Meaning:
    shape = site.inputs[0].shape
    more = {"channels": shape[1], "bounds": [[[0, shape[2]]], [[0, shape[3]]]]}
    return _sum([operation.rescale], shape[1:], 1, 1, 1, **more)


def _batch_norm(operation: BatchNorm, site: Site) -> Meaning:
    shape = site.inputs[0].shape
    channels = shape[operation.axis]
    rest = prod(shape) // channels
    more = {"channels": channels, "bounds": [], "single": True}
    axis = operation.axis
    return _sum([operation.rescale], [channels, 1, rest], axis, axis, rest, **more)


def _move(kind: str, site: Site, **more: Any) -> Meaning:
    tables = more.pop("tables", (_NO_TABLE,) * len(site.inputs))
    return {"type": "move", "move": kind, "tables": list(tables), **more}


def _take(operation: TakeOperation, site: Site) -> Meaning:
    *_, height, width = site.inputs[0].shape
    rows = operation.rows if operation.rows.size else np.arange(height)
    columns = operation.columns if operation.columns.size else np.arange(width)
    return _move("take", site, rows=rows, columns=columns)


def _pad(operation: ZeroPad2d, site: Site) -> Meaning:
    (source,) = site.inputs
    top, left, bottom, right = operation.padding
    frame = [*[[0, 0]] * (len(source.shape) - 2), [top, bottom], [left, right]]
    return _move("pad", site, padding=frame, value=source.zero_point)


def _flip(operation: Flip, site: Site) -> Meaning:
    size = site.inputs[0].shape[operation.axis]
    return _move("slice", site, axis=operation.axis, start=size - 1, step=-1, count=size)


def _slice(operation: Slice, site: Site) -> Meaning:
    facts = {name: getattr(operation, name) for name in ("axis", "start", "step", "count")}
    return _move("slice", site, **facts)


def _pair_of_codes(operation: Add | Mul, site: Site) -> Meaning:
    del site
    coefficients = list(operation.coefficients) if isinstance(operation, Add) else []
    return {"type": "pair", "coefficients": coefficients, "rescale": _rescale(operation.rescale)}


def _maximum(operation: WindowMaximum, site: Site) -> Meaning:
    shape = site.inputs[0].shape
    seen = [
        [[place for place in places if 0 <= place < span.size] for places in span.positions]
        for span in operation.spans(shape)
    ]
    one_row = len(shape) == 3
    image = [shape[1], *([1] if one_row else []), *shape[2:]]
    return {"type": "max", "image": image, "seen": [*([[[0]]] if one_row else []), *seen]}


def _quantise(operation: Quantize, site: Site) -> Meaning:
    steps = [[int(step.kind), step.inner, step.values] for step in operation.steps]
    return {
        "type": "quantise",
        "steps": steps,
        "scale": float(np.float32(site.outputs[0].scale or 0)),
    }


MEANINGS: Sequence[tuple[type[KernelOperation], Callable[[Any, Site], Meaning]]] = (
    (QuantizedConvolution, _convolution),
    (Conv1dDepthwise, _depthwise),
    (Linear, _linear),
    (QuantizedTransposedConvolution, _transposed),
    (WindowAverage, _average),
    (Mean, _mean),
    (GlobalAvgPool, _global_average),
    (BatchNorm, _batch_norm),
    (LookupOperation, lambda operation, site: _move("same", site, tables=(operation.table,))),
    (Concat, lambda o, site: _move("concat", site, axis=o.axis, tables=o.tables)),
    (Permute, lambda o, site: _move("permute", site, axes=list(o.axes))),
    (ReshapeOperation, lambda o, site: _move("reshape", site, shape=list(o.shape))),
    (TakeOperation, _take),
    (ZeroPad2d, _pad),
    (Flip, _flip),
    (Slice, _slice),
    (Add, _pair_of_codes),
    (Mul, _pair_of_codes),
    (WindowMaximum, _maximum),
    (Quantize, _quantise),
    (Embedding, lambda o, site: {"type": "embedding", "table": o.table}),
    (Constant, lambda o, site: {"type": "constant", "data": _constant(o, site)}),
)
"""Operations and what says what they mean; whatever is not here is judged by samples."""


def copy_meaning(site: Site) -> Meaning:
    """Of a copy that only changes the order in memory."""
    return _move("same", site)


def folded_meaning() -> Meaning:
    """Of a layer whose work others do."""
    return {"type": "folded"}


def samples_meaning(inputs: Sequence[Sequence[Array]], outputs: Sequence[Array]) -> Meaning:
    """Cases, their inputs and the output that the witness has accepted."""
    return {"type": "samples", "inputs": [list(row) for row in inputs], "outputs": list(outputs)}


def _constant(operation: Constant, site: Site) -> Array:
    return operation.reference(site, ())[0].astype(site.outputs[0].dtype.numpy)


def as_json(value: Any, arrays: dict[str, Array]) -> Any:
    """The same with arrays put into `arrays` and named; what a JSON file can hold."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        return {key: as_json(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item, arrays) for item in value]
    return value
