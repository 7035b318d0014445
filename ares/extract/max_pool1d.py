"""Max pooling of codes along one axis; before a quantiser it changes places with it, as both keep order."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._pooling import maximum, one, require_rank
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.max_pool1d import MaxPool1d


@on_module(nn.MaxPool1d)
@on_function("max_pool1d")
def max_pool1d(call: Call) -> Value:
    if call.setting("return_indices", 6, False):
        reject("it returns indices", "use return_indices=False")
    require_rank(call, 3)
    kernel = one(call.setting("kernel_size", 1))
    stride = call.setting("stride", 2)
    pad = one(call.setting("padding", 3, 0))
    return maximum(
        call,
        MaxPool1d,
        kernel=kernel,
        stride=one(stride) if stride else kernel,
        padding=(pad, pad),
        dilation=one(call.setting("dilation", 4, 1)),
        ceil_mode=bool(call.setting("ceil_mode", 5, False)),
    )
