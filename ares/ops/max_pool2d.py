"""MaxPool2d on codes: order is kept, so the largest code is the code of the largest value.

eps: 0, codes only move.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._maxima import WindowMaximum, pooled
from ares.ops._spans import Span
from ares.ops._window import image_windows


@dataclass(frozen=True, slots=True, eq=False)
class MaxPool2d(WindowMaximum):
    """`out[c,y,x] = max over i,j of in[c, y*s+i*d-p, x*s+j*d-p]`

    Input and output N C H W (batch 1), the same type, scale and zero point. `padding` is (top, left, bottom,
    right): positions outside never win. With `ceil_mode` a last window may reach past the bottom or right
    padding if it starts inside the input or its top or left padding.
    """

    OP_TYPE = "OP_MAXPOOL"
    LAYER_TYPE = "MaxPool2d"
    PYTHON_CLASS = "torch.nn.MaxPool2d"

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    dilation: tuple[int, int]
    ceil_mode: bool

    def spans(self, shape: tuple[int, ...]) -> tuple[Span, ...]:
        windows = image_windows(
            self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode
        )
        return pooled(self.name, shape, windows)
