"""Max pooling of codes; before a quantiser it changes places with it, as both keep order."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import pair
from ares.extract._registry import on_function, on_module
from ares.extract._values import Index, Value
from ares.ops.max_pool2d import MaxPool2d


@on_module(nn.MaxPool2d)
def max_pool2d_module(call: Call) -> Value:
    m = call.module
    return _max_pool(
        call, m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
    )


@on_function("max_pool2d", "boolean_dispatch")
def max_pool2d_function(call: Call) -> Value:
    return _max_pool(
        call,
        call.argument(1, "kernel_size"),
        call.argument(2, "stride"),
        call.argument(3, "padding", 0),
        call.argument(4, "dilation", 1),
        call.argument(5, "ceil_mode", False),
        call.argument(6, "return_indices", False),
    )


def _max_pool(
    call: Call,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Value:
    if return_indices:
        reject("it returns indices", "use return_indices=False")
    top, left = pair(padding)

    def emit(tensor: str) -> str:
        return call.add(
            MaxPool2d,
            (tensor,),
            call.builder.tensors[tensor],
            kernel=pair(kernel),
            stride=pair(kernel if stride is None or stride == [] else stride),
            padding=(top, left, top, left),
            dilation=pair(dilation),
            ceil_mode=bool(ceil_mode),
        )

    before = call.shape_of(0, "input")

    def back(index: Index) -> Index | None:
        of_channel = index.max(axis=(-2, -1), keepdims=True)
        mixed = (index != of_channel) & (index != -1)
        return None if mixed.any() else np.broadcast_to(of_channel, before)

    return call.move(emit, back, takes_maximum=True)
