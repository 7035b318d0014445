"""Flatten: neighbouring axes become one, in PyTorch's order of elements.

eps: 0, elements only move (`ares.ops._moves`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ares.ops._moves import ReshapeOperation


@dataclass(frozen=True, slots=True, eq=False)
class Flatten(ReshapeOperation):
    """`out = in.reshape(shape)`, where `shape` joins neighbouring axes of the input

    Codes or binary32. Free where memory allows it: N C H W stored channels last flattens to N C HW without a
    copy, and to N CHW with one.
    """

    OP_TYPE = "OP_FLATTEN"
    LAYER_TYPE = "Flatten"
    PYTHON_CLASS = "torch.nn.Flatten"

    def allows(self, source: tuple[int, ...]) -> bool:
        return any(
            self.shape == (*source[:start], prod(source[start:end]), *source[end:])
            for start in range(len(source))
            for end in range(start + 1, len(source) + 1)
        )
