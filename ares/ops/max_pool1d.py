"""MaxPool1d on codes: order is kept, so the largest code is the code of the largest value.

eps: 0, codes only move.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._maxima import WindowMaximum, pooled
from ares.ops._spans import Span
from ares.ops._window import Window


@dataclass(frozen=True, slots=True, eq=False)
class MaxPool1d(WindowMaximum):
    """`out[c,i] = max over j of in[c, i*s+j*d-p]`

    Input N C L, output N C O (batch 1), the same type, scale and zero point. `padding` is in front and behind:
    positions outside never win. With `ceil_mode` a last window may reach past the padding behind if it starts inside
    the input or the padding in front.
    """

    OP_TYPE = "OP_MAXPOOL"
    LAYER_TYPE = "MaxPool1d"
    PYTHON_CLASS = "torch.nn.MaxPool1d"
    RANK = 3

    kernel: int
    stride: int
    padding: tuple[int, int]
    dilation: int
    ceil_mode: bool

    def spans(self, shape: tuple[int, ...]) -> tuple[Span, ...]:
        window = Window(self.kernel, self.stride, *self.padding, self.dilation, self.ceil_mode)
        return pooled(self.name, shape, {2: window})
