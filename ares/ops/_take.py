"""What Pad2d and UpsampleNearest2d share: rows and columns of a tensor, taken by tables of indices.

eps: 0. No arithmetic: codes are copied, with the scale and zero point that they have, and binary32 as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ares.ir import OutputRule, Tensor, frozen_array
from ares.ops._moves import require_movable, require_unchanged
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    row_major,
)

TOKENS = (0, 2, 1)


@dataclass(frozen=True, slots=True, eq=False)
class TakeOperation(KernelOperation):
    """`out[...,y,x] = in[..., rows[y], columns[x]]`

    Input and output N C H W, N C T (`rows` of C, `columns` of T) or N F (batch 1). A table that is empty takes every
    position once, in order. Codes or binary32.
    """

    EPS: ClassVar[float] = 0.0
    KERNEL: ClassVar[str] = "take2d"

    rows: npt.NDArray[np.int32]
    columns: npt.NDArray[np.int32]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_movable(source)
        require(
            len(source.shape) in (2, 3, 4) and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected [1, C, H, W], [1, C, T] or [1, F]",
        )
        require(
            len(source.shape) > 2 or not self.rows.size, f"{self.name}: it takes rows of the batch"
        )
        sizes = [
            self._taken("row", self.rows, source.shape[-2]),
            self._taken("column", self.columns, source.shape[-1]),
        ]
        return (((*source.shape[:-2], *sizes), (source.dtype,)),)

    def _taken(self, what: str, table: npt.NDArray[np.int32], size: int) -> int:
        """How many positions of an axis of `size` are taken."""
        require(table.ndim == 1, f"{self.name}: {what}s are a table of rank {table.ndim}")
        if not table.size:
            return size
        lo, hi = int(table.min()), int(table.max())
        require(
            lo >= 0 and hi < size, f"{self.name}: takes {what}s {lo} to {hi}, the input has {size}"
        )
        return int(table.size)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        # An image of one channel, sequences lie either way round.
        if len(site.inputs[0].shape) == 3:
            layout = TOKENS if given[0] == TOKENS else row_major(3)
            return (layout,), (layout,)
        return KernelOperation.layouts(self, site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        require_unchanged(self.name, site)
        taken = arrays[0]
        for axis, table in ((-2, self.rows), (-1, self.columns)):
            if table.size:
                taken = taken.take(table, axis=axis)
        return (taken,)

    def lower(self, site: Site) -> KernelCall:
        require_unchanged(self.name, site)
        (source,), (result,) = site.inputs, site.outputs
        in_w, rows, columns = source.shape[-1], self.rows, self.columns
        out_h, out_w = result.shape[-2:]
        if site.input_layouts[0] == TOKENS:
            in_w, rows, columns = source.shape[-2], columns, rows
            out_h, out_w = out_w, out_h
        fields = (
            ("in_w", in_w),
            ("out_h", out_h),
            ("out_w", out_w),
            ("channels", source.shape[1] if len(source.shape) == 4 else 1),
            ("rows", frozen_array(rows, np.int32)),
            ("columns", frozen_array(columns, np.int32)),
            ("element_size", source.dtype.size),
        )
        return KernelCall("ares_take2d", "take2d.h", Struct("ares_take2d_params", fields))
