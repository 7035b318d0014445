"""Pad2d: a frame of codes that the image has already, mirrored at its edges, repeated from them or from the far side.

eps: 0, elements only move.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._take import TakeOperation


@dataclass(frozen=True, slots=True, eq=False)
class Pad2d(TakeOperation):
    """`out[c,y,x] = in[c, rows[y], columns[x]]`: reflect, replicate and circular padding

    Input and output N C H W, N C T (rows of C, columns of T) or N F (batch 1). The tables say which position stands at
    each place of the frame and inside it; an empty one leaves its axis as it is. Codes or
    binary32.
    """

    OP_TYPE = "OP_PAD2D"
    LAYER_TYPE = "Pad2d"
    PYTHON_CLASS = "torch.nn.ReflectionPad2d"
