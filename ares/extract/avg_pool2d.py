"""Average pooling: an exact sum; the division is part of the next quantiser's one rounding."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from torch import nn

from ares.extract._averages import average
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._geometry import pair
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function, on_module
from ares.extract._values import Codes, Value
from ares.ops.avg_pool2d import AvgPool2d


@on_module(nn.AvgPool2d)
def avg_pool2d_module(call: Call) -> Value:
    m = call.module
    return _avg_pool(
        call,
        m.kernel_size,
        m.stride,
        m.padding,
        m.ceil_mode,
        m.count_include_pad,
        m.divisor_override,
    )


@on_function("avg_pool2d")
def avg_pool2d_function(call: Call) -> Value:
    return _avg_pool(
        call,
        call.argument(1, "kernel_size"),
        call.argument(2, "stride"),
        call.argument(3, "padding", 0),
        call.argument(4, "ceil_mode", False),
        call.argument(5, "count_include_pad", True),
        call.argument(6, "divisor_override"),
    )


def _avg_pool(
    call: Call,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Value:
    window, (top, left) = pair(kernel), pair(padding)
    if ceil_mode:
        reject("it rounds its output size up", "use ceil_mode=False")
    if not count_include_pad and (top or left):
        reject("its padding is not counted", "use count_include_pad=True")
    count = window[0] * window[1]

    def add(source: Codes, quantizer: Quantizer, ratio: Fraction) -> str:
        tensor = call.tensor(source)
        return call.add(
            AvgPool2d,
            (source.tensor,),
            quantizer,
            kernel=window,
            stride=pair(kernel if stride is None or stride == [] else stride),
            padding=(top, left, top, left),
            rescale=call.rescale(
                quantizer, [ratio], [Fraction(0)], count * tensor.largest_magnitude
            ),
        )

    return average(call, divisor_override or count, add)
