"""Adaptive max pooling of codes, and the largest over whole axes; both change places with a quantiser behind them."""

from __future__ import annotations

import numpy as np
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import axis_of
from ares.extract._moves import move
from ares.extract._pooling import maximum, output_size, require_rank
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.adaptive_max_pool1d import AdaptiveMaxPool1d
from ares.ops.adaptive_max_pool2d import AdaptiveMaxPool2d
from ares.ops.permute import Permute
from ares.ops.squeeze import Squeeze


@on_module(nn.AdaptiveMaxPool2d)
@on_function("adaptive_max_pool2d")
def adaptive_max_pool2d(call: Call) -> Value:
    if call.setting("return_indices", 2, False):
        reject("it returns indices", "use return_indices=False")
    require_rank(call, 4)
    return maximum(call, AdaptiveMaxPool2d, output_size=output_size(call, 2))


@on_function("amax", "max")
def largest(call: Call) -> Value:
    """The largest along some axes, the batch excluded: one window over all of each. Of `max`, the values."""
    before, dims = call.shape_of("input", 0), call.argument("dim", 1)
    chosen = dims if isinstance(dims, (tuple, list)) else (dims,)
    if not chosen or not all(isinstance(dim, int) for dim in chosen):
        reject("it does not say along which dimension", "give the dimensions: x.amax(dim=...)")
    axes = sorted({axis_of(dim, len(before)) for dim in chosen})
    others = [axis for axis in range(1, len(before)) if axis not in axes]
    if axes[0] == 0:
        reject("it goes over the batch", "take other dimensions")
    if len(before) not in (3, 4) or not others:
        reject(
            f"it goes over dimensions {axes} of {list(before)}, expected some of 3 or 4 and one that stays",
            "reshape it: x.flatten(1).unsqueeze(1).amax(2)",
        )
    # Windows lie behind the channels, which is whatever stays.
    order = tuple(range(len(before))) if axes[0] > 1 else (0, *others, *axes)
    sizes = tuple(1 if axis in axes else before[axis] for axis in order[2:])

    def add(tensor: str) -> str:
        source = call.builder.tensors[tensor]
        first = (1, before[order[1]], *sizes)
        name = call.name if first == call.out_shape else f"{call.name}.largest"
        if order != tuple(range(len(before))):
            tensor = call.add(Permute, (tensor,), source, name=f"{call.name}.order", axes=order)
        if len(sizes) == 1:
            found = call.add(AdaptiveMaxPool1d, (tensor,), source, name=name, output_size=1)
        else:
            found = call.add(AdaptiveMaxPool2d, (tensor,), source, name=name, output_size=sizes)
        if name == call.name:
            return found
        return call.add(Squeeze, (found,), source, shape=call.out_shape)

    kept = tuple(1 if axis in axes else size for axis, size in enumerate(before))
    return move(
        call,
        add,
        lambda index: np.broadcast_to(index.reshape(kept), before),
        takes_maximum=True,
    )
