"""What a layer means, as data: what tools/check_certificate.py takes to say which integers are right.

One function for each kind of layer, in MEANINGS. An operation that stands in no row is judged by samples, so that a
new one never gets a certificate for every input by itself. Values: bool, int, str, lists, and arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ares.numerics import FloatStep, quantize_f32
from ares.ops import KernelOperation, Site
from ares.ops._averages import WindowAverage
from ares.ops._convolution import QuantizedConvolution
from ares.ops._lookup import LookupOperation
from ares.ops._maxima import WindowMaximum
from ares.ops._moves import ReshapeOperation
from ares.ops._operation import Array
from ares.ops._take import TakeOperation
from ares.ops._transposed import QuantizedTransposedConvolution
from ares.ops.add import Add
from ares.ops.attention_context import AttentionContext
from ares.ops.attention_scores import AttentionScores
from ares.ops.average_fp32 import AverageFp32
from ares.ops.batch_norm import BatchNorm
from ares.ops.concat import Concat
from ares.ops.constant import Constant
from ares.ops.conv1d_depthwise import Conv1dDepthwise
from ares.ops.conv_fp32 import ConvFp32
from ares.ops.conv_sum import ConvSum
from ares.ops.conv_transpose_fp32 import ConvTransposeFp32
from ares.ops.embedding import Embedding
from ares.ops.flip import Flip
from ares.ops.global_avg_pool import GlobalAvgPool
from ares.ops.linear import Linear
from ares.ops.linear_fp32 import LinearFp32
from ares.ops.matmul import Matmul
from ares.ops.mean import Mean
from ares.ops.mul import Mul
from ares.ops.permute import Permute
from ares.ops.quantize import Quantize
from ares.ops.slice import Slice
from ares.ops.zero_pad2d import ZeroPad2d
from ares.prover.products import context, matmul, scores
from ares.prover.sums import (
    Meaning,
    average,
    average_fp32,
    convolution,
    depthwise,
    global_average,
    image_axes,
    image_of,
    linear,
    mean,
    numbers_of,
    summed,
    transposed,
)

_BYTES = 256


def meaning_of(operation: KernelOperation, site: Site) -> Meaning | None:
    """What the operation means; None where only samples are left. `site` has the planned layouts."""
    for kind, meaning in MEANINGS:
        if isinstance(operation, kind):
            return meaning(operation, site)
    return None


def _batch_norm(operation: BatchNorm, site: Site) -> Meaning:
    """A table of all codes for each channel."""
    source, axis = site.inputs[0], operation.axis
    channels = source.shape[axis]
    bits = np.arange(_BYTES).astype(np.uint8).view(source.dtype.numpy).astype(np.int64)
    acc = np.broadcast_to(bits - source.zero_point, (channels, _BYTES))
    tables = operation.rescale.apply(acc, axis=0)
    number = np.arange(channels).reshape(-1, *[1] * (len(source.shape) - axis - 1))
    which = np.broadcast_to(number, source.shape)
    return _copied(numbers_of(site.inputs[0]), tables=tables, which=which)


def _copied(source: Array, fill: int = 0, **more: Any) -> Meaning:
    """Copies: the number of the input's element for every element of the output, -1 for `fill`."""
    none = np.zeros((0, 0), np.int64)
    facts = {"tables": none, "which": none, **more}
    flat = {key: np.asarray(facts[key]) for key in facts}
    flat["which"] = flat["which"].astype(np.int32).reshape(-1)
    return {"type": "table", "source": source.reshape(-1).astype(np.int32), "fill": fill, **flat}


def _lookup(operation: LookupOperation, site: Site) -> Meaning:
    numbers = numbers_of(site.inputs[0])
    return _copied(numbers, tables=operation.table[None], which=np.zeros(numbers.size))


def _concat(operation: Concat, site: Site) -> Meaning:
    sizes = [prod(each.shape) for each in site.inputs]
    firsts = np.cumsum([0, *sizes])
    pairs = list(zip(site.inputs, firsts, strict=False))
    source = [first + np.arange(prod(i.shape)).reshape(i.shape) for i, first in pairs]
    which = [np.full(each.shape, number) for number, each in enumerate(site.inputs)]
    both = [np.concatenate(each, operation.axis) for each in (source, which)]
    if not any(table.size for table in operation.tables):
        return _copied(both[0])
    same = [
        np.arange(_BYTES, dtype=np.uint8).view(each.dtype.numpy).astype(np.int64)
        for each in site.inputs
    ]
    pairs_of = zip(operation.tables, same, strict=True)
    return _copied(
        both[0], tables=np.stack([t if t.size else s for t, s in pairs_of]), which=both[1]
    )


def _embedding(operation: Embedding, site: Site) -> Meaning:
    """Each column of the rows is a table of the ids."""
    ids, width = numbers_of(site.inputs[0]), operation.table.shape[1]
    source = np.repeat(ids.reshape(-1), width)
    return _copied(source, tables=operation.table.T, which=np.tile(np.arange(width), ids.size))


def _take(operation: TakeOperation, site: Site) -> Meaning:
    height, width = site.inputs[0].shape[-2:]
    rows = operation.rows if operation.rows.size else np.arange(height)
    columns = operation.columns if operation.columns.size else np.arange(width)
    return _copied(numbers_of(site.inputs[0]).take(columns, -1).take(rows, -2))


def _pad(operation: ZeroPad2d, site: Site) -> Meaning:
    (source,) = site.inputs
    top, left, bottom, right = operation.padding
    frame = [*[(0, 0)] * (len(source.shape) - 2), (top, bottom), (left, right)]
    return _copied(np.pad(numbers_of(site.inputs[0]), frame, constant_values=-1), source.zero_point)


def _flip(operation: Flip, site: Site) -> Meaning:
    return _copied(np.flip(numbers_of(site.inputs[0]), operation.axis))


def _slice(operation: Slice, site: Site) -> Meaning:
    places = operation.start + operation.step * np.arange(operation.count)
    return _copied(numbers_of(site.inputs[0]).take(places, operation.axis))


def _pair_of_codes(operation: Add | Mul, site: Site) -> Meaning:
    """The code of every pair of codes, and which elements make a pair."""
    first, second = site.inputs
    x, y = np.arange(first.lo, first.hi + 1)[:, None], np.arange(second.lo, second.hi + 1)
    if isinstance(operation, Add):
        a, b = operation.coefficients
        total = a * x + b * y + operation.rescale.offset.astype(np.int64)[0]
        table = operation.rescale.finish(total, operation.rescale.shift[:1])
    else:
        table = operation.rescale.apply((x - first.zero_point) * (y - second.zero_point))
    shape = site.outputs[0].shape
    numbers = [np.arange(prod(each.shape)).reshape(each.shape) for each in site.inputs]
    seen = [np.broadcast_to(each, shape).reshape(-1).astype(np.int32) for each in numbers]
    return {"type": "pair", "table": table, "first": seen[0], "second": seen[1]}


def _maximum(operation: WindowMaximum, site: Site) -> Meaning:
    shape = site.inputs[0].shape
    seen = [
        np.array([[p if 0 <= p < span.size else -1 for p in places] for places in span.positions])
        for span in operation.spans(shape)
    ]
    axes = image_axes(len(shape))
    if len(shape) == 3:
        seen.insert(0, np.zeros((1, 1), int))
    rows, columns = seen
    (source,) = site.inputs
    facts = {
        "lo": source.lo,
        "hi": source.hi,
        "image": image_of(shape, *axes),
        "place": image_of(site.outputs[0].shape, *axes),
        "rows": rows[:, :, None],
        "columns": columns[:, :, None],
    }
    return {"type": "max", **facts}


def _quantise(operation: Quantize, site: Site) -> Meaning | None:
    """For each set of constants its steps, binary32 numbers, and the codes between them; `own`: each element's set.

    The last step is NaN, and behind it is the code of what is no number. None where infinities are no limits.
    """
    (target,) = site.outputs
    size = prod(site.inputs[0].shape)
    each = [np.resize(np.repeat(step.values, step.inner), size) for step in operation.steps]
    constants = np.array(each or [np.zeros(size, np.float32)], np.float32)
    sets, own = np.unique(constants, axis=1, return_inverse=True)
    kinds = [step.kind for step in operation.steps]

    def codes_of(x: Array) -> Array:
        """Codes [n, sets] of numbers, each element with its set's constants."""
        for kind, values in zip(kinds, sets, strict=False):
            x = FloatStep(kind, np.broadcast_to(values, x.shape).reshape(-1), 1).apply(x)
        scale = float(np.float32(target.scale or 0))
        return quantize_f32(x, scale, target.zero_point, target.lo, target.hi).astype(np.int64)

    with np.errstate(all="ignore"):
        steps, codes = _steps_of_floats(codes_of, target.lo, target.hi, sets.shape[1])
        more = codes_of(
            np.repeat(np.array([[np.inf], [-np.inf], [np.nan]], np.float32), len(sets.T), 1)
        )
    if not (np.array_equal(more[0], codes[-1]) and np.array_equal(more[1], codes[0])):
        return None
    last = np.full((1, len(sets.T)), np.nan, np.float32)
    return {
        "type": "quantise",
        "own": own.reshape(-1).astype(np.int32),
        "steps": np.concatenate([steps, last]).T.copy(),
        "between": np.concatenate([codes, more[2:]]).T.copy(),
    }


def _steps_of_floats(
    codes_of: Callable[[Array], Array], lo: int, hi: int, sets: int
) -> tuple[Array, Array]:
    """Steps [n, sets], ascending, of monotone functions of binary32 numbers; the codes [n + 1, sets] around them."""
    levels = np.arange(lo + 1, hi + 1)[:, None]
    above = np.full((len(levels), sets), 0x7F7FFFFF)  # numbers of binary32 numbers in their order
    below = -above
    ends = [codes_of(_floats(end[:1])) for end in (below, above)]
    falls = ends[1] < ends[0]
    while np.any(above - below > 1):
        middle = (below + above) >> 1
        reached = (codes_of(_floats(middle)) >= levels) ^ falls
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    steps = np.sort(above, 0)
    codes = codes_of(_floats(steps))
    return _floats(steps), np.concatenate([ends[0], codes])


def _floats(keys: Array) -> Array:
    """The binary32 numbers in their order; 0 is 0."""
    return np.where(keys < 0, -(2**31) - keys, keys).astype(np.int32).view(np.float32)


MEANINGS: Sequence[tuple[Any, Callable[[Any, Site], Meaning | None]]] = (
    (QuantizedConvolution, convolution),
    (Conv1dDepthwise, depthwise),
    (Linear | LinearFp32, linear),
    (QuantizedTransposedConvolution | ConvTransposeFp32, transposed),
    (ConvSum | ConvFp32, summed),
    (AverageFp32, average_fp32),
    (Matmul, matmul),
    (AttentionScores, scores),
    (AttentionContext, context),
    (WindowAverage, average),
    (Mean, mean),
    (GlobalAvgPool, global_average),
    (BatchNorm, _batch_norm),
    (LookupOperation, _lookup),
    (Concat, _concat),
    (Permute, lambda o, site: _copied(numbers_of(site.inputs[0]).transpose(o.axes))),
    (ReshapeOperation, lambda o, site: _copied(numbers_of(site.inputs[0]))),
    (TakeOperation, _take),
    (ZeroPad2d, _pad),
    (Flip, _flip),
    (Slice, _slice),
    (Add, _pair_of_codes),
    (Mul, _pair_of_codes),
    (WindowMaximum, _maximum),
    (Quantize, _quantise),
    (Embedding, _embedding),
    (Constant, lambda o, site: samples_meaning((), _constant(o, site)[None])),
)
"""Operations and what says what they mean; whatever is not here is judged by samples."""


def copy_meaning(site: Site) -> Meaning:
    """Of a copy that only changes the order in memory."""
    return _copied(numbers_of(site.inputs[0]))


def folded_meaning() -> Meaning:
    """Of a layer whose work others do: nothing of it is left."""
    return {"type": "samples", "wanted": np.zeros((0, 0), np.int8)}


def samples_meaning(inputs: Sequence[Array], output: Array) -> Meaning:
    """Cases [case, ...] of each input and of the output that the witness has accepted."""
    given = {f"given{number}": each for number, each in enumerate(inputs)}
    return {"type": "samples", **given, "wanted": output}


def _constant(operation: Constant, site: Site) -> Array:
    return operation.reference(site, ())[0].astype(site.outputs[0].dtype.numpy)
