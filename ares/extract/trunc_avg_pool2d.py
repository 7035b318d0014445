"""Brevitas' poolings that truncate: sums of codes, of which bits are cut off; no other quantiser follows.

Given a plain tensor, or made with trunc_quant=None, they are the averages of torch that they derive from. Brevitas'
TruncQuantAccumulator is not here: no release up to 0.13.4 can construct one (it never calls Module.__init__).
"""

from __future__ import annotations

from math import prod

import brevitas.nn as qnn

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._findings import reject
from ares.extract._geometry import pair
from ares.extract._pooling import output_size, require_rank
from ares.extract._registry import on_module
from ares.extract._truncation import read_truncation, truncated
from ares.extract._values import Codes, Unknown, Value
from ares.extract.adaptive_avg_pool2d import adaptive_avg_pool2d
from ares.extract.avg_pool2d import avg_pool2d
from ares.ops._window import image_windows
from ares.ops.trunc_avg_pool2d import TruncAvgPool2d

Pair = tuple[int, int]


@on_module(qnn.TruncAvgPool2d)
def trunc_avg_pool2d(call: Call) -> Value | tuple[Value, ...]:
    if truncated(call) is None:
        return avg_pool2d(call)
    require_rank(call, 4)
    kernel, stride = pair(call.module.kernel_size), pair(call.module.stride)
    if any(pair(call.module.padding)):
        reject("it pads", "pad its input with nn.ZeroPad2d")
    whole = image_windows(kernel, stride, (0, 0, 0, 0))
    full = [window.count(call.shape_of("input", 0)[axis]) for axis, window in whole.items()]
    if full != list(call.out_shape[2:]):
        # Brevitas divides by the whole window and rounds what is then no integer before it truncates.
        reject("its last windows reach past the input (ceil_mode)", "use ceil_mode=False")
    return _sums(call, kernel, stride, call.module.divisor_override or prod(kernel))


@on_module(qnn.TruncAdaptiveAvgPool2d)
def trunc_adaptive_avg_pool2d(call: Call) -> Value | tuple[Value, ...]:
    if truncated(call) is None:
        return adaptive_avg_pool2d(call)
    require_rank(call, 4)
    (height, width), (rows, columns) = call.shape_of("input", 0)[-2:], output_size(call, 2)
    if height % rows or width % columns:
        # Brevitas takes all windows for as large as the largest that it computes, and rounds twice.
        reject(
            f"it averages {height} x {width} into {rows} x {columns}, windows of different sizes",
            "choose an output size that divides the input's, or use nn.AdaptiveAvgPool2d and a QuantIdentity",
        )
    kernel = (height // rows, width // columns)
    return _sums(call, kernel, kernel, prod(kernel))


def _sums(call: Call, kernel: Pair, stride: Pair, divisor: int) -> Value:
    """Sums over windows of `kernel` that Brevitas takes for averages of `divisor` codes, truncated."""
    value, given = call.x, truncated(call)
    if isinstance(value, Unknown):
        return value
    assert given is not None
    source = codes_of(call, value)
    tensor = call.tensor(source)
    truncation = read_truncation(call, given, tensor, divisor)
    rescale = truncation.rescale(prod(kernel) * tensor.largest_magnitude)
    return Codes(
        call.add(
            TruncAvgPool2d,
            (source.tensor,),
            truncation.target,
            kernel=kernel,
            stride=stride,
            padding=(0, 0, 0, 0),
            rescale=rescale,
        )
    )
