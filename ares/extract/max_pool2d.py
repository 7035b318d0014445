"""Max pooling of codes; before a quantiser it changes places with it, as both keep order."""

from __future__ import annotations

import numpy as np
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import pair
from ares.extract._moves import move
from ares.extract._registry import on_function, on_module
from ares.extract._values import Index, Value
from ares.ops.max_pool2d import MaxPool2d


@on_module(nn.MaxPool2d)
@on_function("max_pool2d", "boolean_dispatch")
def max_pool2d(call: Call) -> Value:
    if call.setting("return_indices", 6, False):
        reject("it returns indices", "use return_indices=False")
    kernel = call.setting("kernel_size", 1)
    stride = call.setting("stride", 2) or kernel
    top, left = pair(call.setting("padding", 3, 0))
    dilation, ceil_mode = call.setting("dilation", 4, 1), call.setting("ceil_mode", 5, False)

    def add(tensor: str) -> str:
        return call.add(
            MaxPool2d,
            (tensor,),
            call.builder.tensors[tensor],
            kernel=pair(kernel),
            stride=pair(stride),
            padding=(top, left, top, left),
            dilation=pair(dilation),
            ceil_mode=bool(ceil_mode),
        )

    before = call.shape_of("input", 0)

    def back(index: Index) -> Index | None:
        of_channel = index.max(axis=(-2, -1), keepdims=True)
        mixed = (index != of_channel) & (index != -1)
        return None if mixed.any() else np.broadcast_to(of_channel, before)

    return move(call, add, back, takes_maximum=True)
