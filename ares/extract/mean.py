"""The mean or the sum over some dimensions (`QuantMean`, `torch.mean`, `x.sum(2)`): an exact sum, one rounding."""

from __future__ import annotations

from fractions import Fraction
from math import prod

from ares.extract._averages import average
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import axis_of
from ares.extract._inner_calls import Seen, inner_call
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function
from ares.extract._rescaling import rescale_for
from ares.extract._values import Codes, Move, Real, Value
from ares.ops._window import Window
from ares.ops.mean import Mean
from ares.ops.reshape import Reshape

_MOST_AXES = 4


@on_function("mean")
def mean(call: Call) -> Value:
    return _reduced(call, is_sum=False)


@on_function("sum")
def total(call: Call) -> Value:
    return _reduced(call, is_sum=True)


def _reduced(call: Call, is_sum: bool) -> Value:
    shape = call.shape_of("input", 0)
    dims = call.argument("dim", 1)
    keepdim = bool(call.argument("keepdim", 2, False))
    if dims is None or dims in ((), []):
        reject("it goes over everything, the batch included", "give the dimensions: mean(dim=...)")
    chosen = dims if isinstance(dims, (tuple, list)) else (dims,)
    axes = tuple(sorted(axis_of(int(dim), len(shape)) for dim in chosen))
    if 0 in axes:
        reject("it goes over the batch", "take other dimensions")
    count = prod(shape[axis] for axis in axes)
    if len(shape) > _MOST_AXES and isinstance(call.x, Codes):
        return _of_fewer_axes(call, shape, axes)

    def add(source: Codes, quantizer: Quantizer, ratios: list[Fraction]) -> str:
        bound = count * call.tensor(source).largest_magnitude
        return call.add(
            Mean,
            (source.tensor,),
            quantizer,
            axes=axes,
            keepdim=keepdim,
            rescale=rescale_for(call, quantizer, ratios, [Fraction(0)], bound),
        )

    windows = {axis: Window(shape[axis]) for axis in axes}
    return average(call, 1 if is_sum else count, add, windows, axis=_channels(axes, len(shape)))


def _of_fewer_axes(call: Call, shape: tuple[int, ...], axes: tuple[int, ...]) -> Value:
    """The same of a view in which neighbours that are all summed, or all not, are one axis."""
    runs: list[tuple[bool, int]] = []
    for axis, size in enumerate(shape[1:], start=1):
        summed = axis in axes
        if runs and runs[-1][0] == summed:
            runs[-1] = summed, runs[-1][1] * size
        else:
            runs.append((summed, size))
    view = (1, *(size for _, size in runs))
    if len(view) > _MOST_AXES:
        reject(
            f"it goes over the axes {list(axes)} of {len(shape)}, which lie apart",
            "permute its input so that they are neighbours",
        )
    value = call.x
    assert isinstance(value, Codes)
    source = call.tensor(value)
    name = f"{call.name}.view"
    joined = Codes(call.add(Reshape, (value.tensor,), source, name=name, shape=view))
    chosen = tuple(axis for axis, (summed, _) in enumerate(runs, start=1) if summed)
    result = tuple(size for axis, size in enumerate(view) if axis not in chosen)
    function = call.node.function
    inner = inner_call(call, call.name, function, (Seen(joined, view), chosen), {}, result)
    found = _reduced(inner, function == "sum")
    assert isinstance(found, Real)
    shaped, after = call.out_shape, f"{call.name}.shape"

    def add(tensor: str) -> str:
        source = call.builder.tensors[tensor]
        return call.add(Reshape, (tensor,), source, name=after, shape=shaped)

    return (
        found if result == shaped else found.moved(Move(add, lambda index: index.reshape(result)))
    )


def _channels(axes: tuple[int, ...], rank: int) -> int | None:
    """The axis of what may differ from channel to channel, None where it is summed."""
    axis = rank - 1 if 1 in axes else 1
    return None if axis in axes else axis
