"""Flip: one axis in reverse.

eps: 0, elements only move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import OutputRule, Tensor
from ares.ops._moves import require_unchanged
from ares.ops._operation import Array, KernelCall, KernelOperation, Layout, Site, keep_layout
from ares.ops._strided import require_axis, select


@dataclass(frozen=True, slots=True, eq=False)
class Flip(KernelOperation):
    """`out[..., k, ...] = in[..., size - 1 - k, ...]` along `axis`

    Codes or binary32, any axis but the batch.
    """

    OP_TYPE = "OP_FLIP"
    LAYER_TYPE = "Flip"
    PYTHON_CLASS = "ares.nn.Flip"
    EPS = 0.0
    KERNEL = "slice"

    axis: int

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_axis(self.name, source, self.axis)
        return ((source.shape, (source.dtype,)),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        return keep_layout(site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        require_unchanged(self.name, site)
        return (np.flip(arrays[0], self.axis),)

    def lower(self, site: Site) -> KernelCall:
        return select(self.name, site, self.axis, site.inputs[0].shape[self.axis] - 1, -1)
