"""Average pooling along one axis: exact sums; the divisions are part of the quantiser's one rounding."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._pooling import one, require_rank, window_average
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.avg_pool1d import AvgPool1d


@on_module(nn.AvgPool1d)
@on_function("avg_pool1d")
def avg_pool1d(call: Call) -> Value:
    require_rank(call, 3)
    kernel = one(call.setting("kernel_size", 1))
    stride = call.setting("stride", 2)
    pad = one(call.setting("padding", 3, 0))
    return window_average(
        call,
        AvgPool1d,
        divisor=None,
        kernel=kernel,
        stride=one(stride) if stride else kernel,
        padding=(pad, pad),
        ceil_mode=bool(call.setting("ceil_mode", 4, False)),
        count_include_pad=bool(call.setting("count_include_pad", 5, True)),
    )
