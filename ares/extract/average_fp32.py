"""An average of codes that no quantiser follows before the network's output: binary32 results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ares.extract._call import Call
from ares.extract._real_output import real_terms
from ares.extract._values import Codes
from ares.ir import frozen_array
from ares.numerics import Pointwise
from ares.ops._window import Window, Windows
from ares.ops.average_fp32 import AverageFp32
from ares.ops.squeeze import Squeeze


def add_average(
    call: Call,
    source: Codes,
    scales: Sequence[float],
    windows: Windows,
    divisor: int,
    axis: int,
    pointwise: Pointwise,
) -> str:
    """Add the operation; `scales` are the codes', one or one a channel along `axis`.

    `pointwise` has factors and addends only.
    """
    shape = call.tensor(source).shape
    along = [windows.get(place, Window(1)) for place in range(1, len(shape)) if place != axis]
    scale, bias = real_terms(np.array(scales) / divisor, np.zeros(0), pointwise, shape[axis])
    result = call.add(
        AverageFp32,
        (source.tensor,),
        None,
        window=tuple(window.kernel for window in along),
        stride=tuple(window.stride for window in along),
        padding=(*(window.before for window in along), *(window.after for window in along)),
        axis=axis,
        scale=frozen_array(scale, np.float32),
        bias=frozen_array(bias, np.float32),
    )
    tensor = call.builder.tensors[result]
    if tensor.shape == call.out_shape:
        return result
    return call.add(Squeeze, (result,), tensor, shape=call.out_shape)
