"""Adaptive average pooling over the last axis: exact sums; the divisions are part of the quantiser's one rounding."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._pooling import output_size, require_rank, window_average
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.adaptive_avg_pool1d import AdaptiveAvgPool1d


@on_module(nn.AdaptiveAvgPool1d)
@on_function("adaptive_avg_pool1d")
def adaptive_avg_pool1d(call: Call) -> Value:
    require_rank(call, 3)
    (count,) = output_size(call, 1)
    return window_average(call, AdaptiveAvgPool1d, divisor=None, out_length=count)
