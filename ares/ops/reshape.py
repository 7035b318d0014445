"""Reshape: the same elements in PyTorch's order under another shape.

eps: 0, elements only move (`ares.ops._moves`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._moves import ReshapeOperation


@dataclass(frozen=True, slots=True, eq=False)
class Reshape(ReshapeOperation):
    """`out = in.reshape(shape)`, `shape` with the batch and without -1

    Codes or binary32. Free where memory allows it, one strided copy otherwise.
    """

    OP_TYPE = "OP_RESHAPE"
    LAYER_TYPE = "Reshape"
    PYTHON_CLASS = "ares.nn.Reshape"
