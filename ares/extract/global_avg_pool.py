"""AdaptiveAvgPool2d to one element per channel; larger outputs where the windows are all alike."""

from __future__ import annotations

from fractions import Fraction

from ares.extract._averages import average
from ares.extract._call import Call
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import rescale_for
from ares.extract._values import Codes, Value
from ares.ops._window import image_windows
from ares.ops.avg_pool2d import AvgPool2d
from ares.ops.global_avg_pool import GlobalAvgPool


def equal_windows(call: Call, sizes: tuple[int, ...]) -> Value:
    """An adaptive average to `sizes`, which divide the input's height and width."""
    height, width = call.shape_of("input", 0)[-2:]
    window = (height // sizes[0], width // sizes[1])
    count = window[0] * window[1]

    def add(source: Codes, quantizer: Quantizer, ratios: list[Fraction]) -> str:
        bound = count * call.tensor(source).largest_magnitude
        rescale = rescale_for(call, quantizer, ratios, [Fraction(0)], bound)
        if sizes == (1, 1):
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

    return average(call, count, add, image_windows(window, window, (0, 0, 0, 0)))
