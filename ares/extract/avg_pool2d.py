"""Average pooling: an exact sum; the division is part of the next quantiser's one rounding."""

from __future__ import annotations

from fractions import Fraction

from torch import nn

from ares.extract._averages import average
from ares.extract._call import Call
from ares.extract._geometry import pair
from ares.extract._pooling import require_rank
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function, on_module
from ares.extract._rescaling import rescale_for
from ares.extract._values import Codes, Value
from ares.extract.uneven_avg_pool2d import has_one_divisor, uneven_avg_pool2d
from ares.ops._window import image_windows
from ares.ops.avg_pool2d import AvgPool2d


@on_module(nn.AvgPool2d)
@on_function("avg_pool2d")
def avg_pool2d(call: Call) -> Value:
    require_rank(call, 4)
    kernel = call.setting("kernel_size", 1)
    stride = call.setting("stride", 2) or kernel
    window, (top, left) = pair(kernel), pair(call.setting("padding", 3, 0))
    padding = (top, left, top, left)
    if not has_one_divisor(call, padding):
        return uneven_avg_pool2d(call, window, pair(stride), padding)
    count = window[0] * window[1]

    def add(source: Codes, quantizer: Quantizer, ratios: list[Fraction]) -> str:
        tensor = call.tensor(source)
        return call.add(
            AvgPool2d,
            (source.tensor,),
            quantizer,
            kernel=window,
            stride=pair(stride),
            padding=padding,
            rescale=rescale_for(
                call, quantizer, ratios, [Fraction(0)], count * tensor.largest_magnitude
            ),
        )

    windows = image_windows(window, pair(stride), padding)
    return average(call, call.setting("divisor_override", 6) or count, add, windows)
