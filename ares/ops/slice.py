"""Slice: a range of positions along one axis, as split, chunk, narrow and `x[:, a:b]` take it.

eps: 0, elements only move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ares.ir import OutputRule, Tensor
from ares.ops._moves import require_unchanged
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    keep_layout,
    require,
)
from ares.ops._strided import require_axis, select, shape_with


@dataclass(frozen=True, slots=True, eq=False)
class Slice(KernelOperation):
    """`out[..., k, ...] = in[..., start + k * step, ...]` along `axis`, for k below `count`

    Codes or binary32, any axis but the batch; step >= 1.
    """

    OP_TYPE = "OP_SLICE"
    LAYER_TYPE = "Slice"
    PYTHON_CLASS = "ares.nn.Slice"
    EPS = 0.0
    KERNEL = "slice"

    axis: int
    start: int
    count: int
    step: int = 1

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_axis(self.name, source, self.axis)
        size = source.shape[self.axis]
        require(
            self.start >= 0
            and self.count >= 1
            and self.step >= 1
            and self.start + (self.count - 1) * self.step < size,
            f"{self.name}: {self.count} positions from {self.start} in steps of {self.step} leave an axis of "
            f"{size}",
        )
        return ((shape_with(source.shape, self.axis, self.count), (source.dtype,)),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        return keep_layout(site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        require_unchanged(self.name, site)
        end = self.start + (self.count - 1) * self.step + 1
        chosen = (slice(None),) * self.axis + (slice(self.start, end, self.step),)
        return (arrays[0][chosen],)

    def lower(self, site: Site) -> KernelCall:
        return select(self.name, site, self.axis, self.start, self.step)
