"""Adaptive average pooling over the last axis: exact sums; the divisions are part of the quantiser's one rounding."""

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
from ares.ops.adaptive_avg_pool1d import AdaptiveAvgPool1d, windows


@on_module(nn.AdaptiveAvgPool1d)
@on_function("adaptive_avg_pool1d")
def adaptive_avg_pool1d(call: Call) -> Value:
    size = call.setting("output_size", 1)
    count = int(size[0]) if isinstance(size, (tuple, list)) else int(size)
    if len(call.out_shape) != 3:
        reject(f"it gives shape {list(call.out_shape)}", "give it [batch, channels, length]")

    def add(source: Codes, quantizer: Quantizer, scale: Fraction) -> str:
        tensor = call.tensor(source)
        lengths = {end - start for start, end in windows(tensor.shape[2], count)}
        rescales = tuple(
            rescale_for(
                call, quantizer, [scale / length], [Fraction(0)], length * tensor.largest_magnitude
            )
            for length in range(min(lengths), max(lengths) + 1)
        )
        return call.add(
            AdaptiveAvgPool1d, (source.tensor,), quantizer, out_length=count, rescales=rescales
        )

    return average(call, 1, add)
