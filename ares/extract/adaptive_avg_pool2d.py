"""AdaptiveAvgPool2d to any size: one element a channel, equal windows, or windows of several sizes."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._pooling import output_size, require_rank, window_average
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.extract.global_avg_pool import equal_windows
from ares.ops.adaptive_avg_pool2d import AdaptiveAvgPool2d


@on_module(nn.AdaptiveAvgPool2d)
@on_function("adaptive_avg_pool2d")
def adaptive_avg_pool2d(call: Call) -> Value:
    require_rank(call, 4)
    sizes, before = output_size(call, 2), call.shape_of("input", 0)[-2:]
    if not any(size % out for size, out in zip(before, sizes, strict=True)):
        return equal_windows(call, sizes)
    return window_average(call, AdaptiveAvgPool2d, divisor=None, output_size=sizes)
