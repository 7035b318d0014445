"""Adaptive max pooling of codes along one axis; before a quantiser it changes places with it, as both keep order."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._pooling import maximum, output_size, require_rank
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.adaptive_max_pool1d import AdaptiveMaxPool1d


@on_module(nn.AdaptiveMaxPool1d)
@on_function("adaptive_max_pool1d")
def adaptive_max_pool1d(call: Call) -> Value:
    if call.setting("return_indices", 2, False):
        reject("it returns indices", "use return_indices=False")
    require_rank(call, 3)
    (size,) = output_size(call, 1)
    return maximum(call, AdaptiveMaxPool1d, output_size=size)
