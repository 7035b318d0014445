"""UpsampleNearest2d: every new position has the code of the nearest old one.

eps: 0, elements only move.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._take import TakeOperation


@dataclass(frozen=True, slots=True, eq=False)
class UpsampleNearest2d(TakeOperation):
    """`out[c,y,x] = in[c, rows[y], columns[x]]`: nearest upsampling, y div factor where it is a whole number

    Input and output N C H W, or N C T (T alone is resized), batch 1. The tables are those of PyTorch for the sizes and
    the mode, `nearest` or `nearest-exact`; an empty one leaves its axis as it is. Codes or
    binary32.
    """

    OP_TYPE = "OP_UPSAMPLE_NEAREST2D"
    LAYER_TYPE = "UpsampleNearest2d"
    PYTHON_CLASS = "torch.nn.Upsample"
