"""Average pooling: an exact sum; the division is part of the next quantiser's one rounding."""

from __future__ import annotations

from fractions import Fraction

from torch import nn

from ares.extract._averages import average
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import pair
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function, on_module
from ares.extract._rescaling import rescale_for
from ares.extract._values import Codes, Value
from ares.ops.avg_pool2d import AvgPool2d


@on_module(nn.AvgPool2d)
@on_function("avg_pool2d")
def avg_pool2d(call: Call) -> Value:
    kernel = call.setting("kernel_size", 1)
    stride = call.setting("stride", 2) or kernel
    window, (top, left) = pair(kernel), pair(call.setting("padding", 3, 0))
    if call.setting("ceil_mode", 4, False):
        reject("it rounds its output size up", "use ceil_mode=False")
    if not call.setting("count_include_pad", 5, True) and (top or left):
        reject("its padding is not counted", "use count_include_pad=True")
    count = window[0] * window[1]

    def add(source: Codes, quantizer: Quantizer, ratio: Fraction) -> str:
        tensor = call.tensor(source)
        return call.add(
            AvgPool2d,
            (source.tensor,),
            quantizer,
            kernel=window,
            stride=pair(stride),
            padding=(top, left, top, left),
            rescale=rescale_for(
                call, quantizer, [ratio], [Fraction(0)], count * tensor.largest_magnitude
            ),
        )

    return average(call, call.setting("divisor_override", 6) or count, add)
