"""AdaptiveMaxPool2d on codes: the largest code of a window is the code of its largest value.

eps: 0, codes only move.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._maxima import WindowMaximum
from ares.ops._operation import require
from ares.ops._spans import Span, adaptive


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveMaxPool2d(WindowMaximum):
    """`out[c,y,x] = max over in[c, floor(y*H/P) .. ceil((y+1)*H/P)-1, floor(x*W/Q) .. ceil((x+1)*W/Q)-1]`

    Input N C H W, output N C P Q (batch 1), any P and Q; the same type, scale and zero point.
    """

    OP_TYPE = "OP_MAXPOOL"
    LAYER_TYPE = "AdaptiveMaxPool2d"
    PYTHON_CLASS = "torch.nn.AdaptiveMaxPool2d"

    output_size: tuple[int, int]

    def spans(self, shape: tuple[int, ...]) -> tuple[Span, ...]:
        require(
            min(self.output_size) >= 1,
            f"{self.name}: {self.output_size} outputs, expected 1 or more along each axis",
        )
        return tuple(
            adaptive(size, out) for size, out in zip(shape[2:], self.output_size, strict=True)
        )
