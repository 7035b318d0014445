"""Average pooling with ceil_mode, or with padding that does not count: each window has PyTorch's divisor."""

from __future__ import annotations

from ares.extract._call import Call
from ares.extract._pooling import window_average
from ares.extract._values import Value
from ares.ops.uneven_avg_pool2d import UnevenAvgPool2d

Pair = tuple[int, int]


def has_one_divisor(call: Call, padding: tuple[int, ...]) -> bool:
    """Whether all windows of a call of AvgPool2d have the same divisor, for inputs of any size."""
    if call.setting("ceil_mode", 4, False):
        return False
    counts_padding = call.setting("count_include_pad", 5, True) or not any(padding)
    return bool(counts_padding or call.setting("divisor_override", 6))


def uneven_avg_pool2d(
    call: Call, kernel: Pair, stride: Pair, padding: tuple[int, int, int, int]
) -> Value:
    return window_average(
        call,
        UnevenAvgPool2d,
        divisor=call.setting("divisor_override", 6),
        kernel=kernel,
        stride=stride,
        padding=padding,
        ceil_mode=bool(call.setting("ceil_mode", 4, False)),
        count_include_pad=bool(call.setting("count_include_pad", 5, True)),
    )
