"""Squeeze, and its opposite: axes of one element go or come.

eps: 0, elements only move (`ares.ops._moves`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._moves import ReshapeOperation


@dataclass(frozen=True, slots=True, eq=False)
class Squeeze(ReshapeOperation):
    """`out = in.reshape(shape)`, where `shape` differs from the input's in axes of one element only

    Codes or binary32. Always free. Serves `unsqueeze` as well.
    """

    OP_TYPE = "OP_SQUEEZE"
    LAYER_TYPE = "Squeeze"
    PYTHON_CLASS = "ares.nn.Squeeze"

    def allows(self, source: tuple[int, ...]) -> bool:
        return [size for size in source if size > 1] == [size for size in self.shape if size > 1]
