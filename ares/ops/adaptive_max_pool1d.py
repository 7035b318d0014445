"""AdaptiveMaxPool1d on codes: the largest code of a window is the code of its largest value.

eps: 0, codes only move.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._maxima import WindowMaximum
from ares.ops._operation import require
from ares.ops._spans import Span, adaptive


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveMaxPool1d(WindowMaximum):
    """`out[c,i] = max over k from floor(i*L/O) to ceil((i+1)*L/O) - 1 of in[c,k]`

    Input N C L, output N C O (batch 1), any O; the same type, scale and zero point.
    """

    OP_TYPE = "OP_MAXPOOL"
    LAYER_TYPE = "AdaptiveMaxPool1d"
    PYTHON_CLASS = "torch.nn.AdaptiveMaxPool1d"
    RANK = 3

    output_size: int

    def spans(self, shape: tuple[int, ...]) -> tuple[Span, ...]:
        require(
            self.output_size >= 1, f"{self.name}: {self.output_size} outputs, expected 1 or more"
        )
        return (adaptive(shape[2], self.output_size),)
