"""Max pooling of codes; before a quantiser it changes places with it, as both keep order."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import pair
from ares.extract._pooling import maximum, require_rank
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.max_pool2d import MaxPool2d


@on_module(nn.MaxPool2d)
@on_function("max_pool2d", "boolean_dispatch")
def max_pool2d(call: Call) -> Value:
    if call.setting("return_indices", 6, False):
        reject("it returns indices", "use return_indices=False")
    require_rank(call, 4)
    kernel = call.setting("kernel_size", 1)
    top, left = pair(call.setting("padding", 3, 0))
    return maximum(
        call,
        MaxPool2d,
        kernel=pair(kernel),
        stride=pair(call.setting("stride", 2) or kernel),
        padding=(top, left, top, left),
        dilation=pair(call.setting("dilation", 4, 1)),
        ceil_mode=bool(call.setting("ceil_mode", 5, False)),
    )
