"""AdaptiveAvgPool2d to one element per channel; larger outputs where the windows are all alike."""

from __future__ import annotations

from fractions import Fraction

from torch import nn

from ares.extract._averages import average
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_function, on_module
from ares.extract._rescaling import rescale_for
from ares.extract._values import Codes, Value
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.global_avg_pool import GlobalAvgPool


@on_module(nn.AdaptiveAvgPool2d)
@on_function("adaptive_avg_pool2d")
def adaptive_avg_pool2d(call: Call) -> Value:
    value, wanted = call.x, call.setting("output_size", 1)
    if not isinstance(value, Codes):
        return average(call, 1, lambda *_: "")
    height, width = call.tensor(value).shape[-2:]
    sizes = wanted if isinstance(wanted, (tuple, list)) else (wanted, wanted)
    out_h, out_w = (
        full if size is None else int(size)
        for size, full in zip(sizes, (height, width), strict=True)
    )
    if height % out_h or width % out_w:
        reject(
            f"it averages {height} x {width} into {out_h} x {out_w}, windows of different sizes",
            "choose an output size that divides the input's",
        )
    window = (height // out_h, width // out_w)
    count = window[0] * window[1]

    def add(source: Codes, quantizer: Quantizer, ratio: Fraction) -> str:
        bound = count * call.tensor(source).largest_magnitude
        rescale = rescale_for(call, quantizer, [ratio], [Fraction(0)], bound)
        if (out_h, out_w) == (1, 1):
            return call.add(GlobalAvgPool, (source.tensor,), quantizer, rescale=rescale)
        return call.add(
            AvgPool2d,
            (source.tensor,),
            quantizer,
            kernel=window,
            stride=window,
            padding=(0, 0, 0, 0),
            rescale=rescale,
        )

    return average(call, count, add)
