"""QuantConcatenate: every part is brought to the output's scale by a table, then laid side by side.

eps: the tables are correctly rounded from exact rationals, so the rule holds with 0; 2**-40 is for the
witness, whose value / scale + zero point is rounded three times in float64 (3 * 2**-53 of at most 511).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, DType, OutputRule, Tensor
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    require_codes,
)

_WIDE = (DType.F32, DType.S32)
MAX_OPERANDS = 32  # ARESMAX_OPERANDS in runtime/inc/layer_descriptors.h


@dataclass(frozen=True, slots=True, eq=False)
class Concat(KernelOperation):
    """`out[..., start[k] + i, ...] = table[k][in[k][..., i, ...]]` along `axis`

    1 to 32 inputs that agree in every axis but `axis`. `tables`: uint8[256] a part, from the byte of an input
    code to the byte of the output code; empty where codes are copied (same type, scale and zero point), and for parts
    that are binary32 or s32.
    """

    OP_TYPE = "OP_CONCAT"
    LAYER_TYPE = "Concatenate"
    PYTHON_CLASS = "ares.nn.QuantConcatenate"
    EPS = 2.0**-40
    KERNEL = "concat"

    axis: int
    tables: tuple[npt.NDArray[np.uint8], ...]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        require(
            1 <= len(inputs) <= MAX_OPERANDS,
            f"{self.name}: {len(inputs)} inputs, expected 1 to {MAX_OPERANDS}",
        )
        require(
            len(self.tables) == len(inputs)
            and all(table.size in (0, 256) and table.dtype == np.uint8 for table in self.tables),
            f"{self.name}: expected {len(inputs)} tables of 256 bytes or none",
        )
        first = inputs[0]
        require(
            0 <= self.axis < len(first.shape),
            f"{self.name}: axis {self.axis}, expected 0..{len(first.shape) - 1}",
        )
        is_wide = first.dtype in _WIDE
        require(
            not is_wide or not any(table.size for table in self.tables),
            f"{self.name}: {first.dtype.value} parts have no tables",
        )
        for source in inputs:
            if is_wide:
                require(
                    source.dtype is first.dtype,
                    f"{self.name}: part {source.name!r} is {source.dtype.value}, expected {first.dtype.value} as the "
                    "first",
                )
            else:
                require_codes(source)
            require(
                self._without_axis(source) == self._without_axis(first),
                f"{self.name}: shapes {list(first.shape)} and {list(source.shape)} differ in another axis "
                f"than {self.axis}",
            )
        shape = list(first.shape)
        shape[self.axis] = sum(source.shape[self.axis] for source in inputs)
        copied = [s for s, table in zip(inputs, self.tables, strict=True) if not table.size]
        require(
            len({(source.dtype, source.scale, source.zero_point) for source in copied}) <= 1,
            f"{self.name}: parts with different codes need tables",
        )
        return ((tuple(shape), (copied[0].dtype,) if copied else CODES),)

    def _without_axis(self, source: Tensor) -> tuple[int, ...]:
        # The rank stays part of the comparison: an axis too few or too many shows.
        return (*source.shape[: self.axis], 0, *source.shape[self.axis + 1 :])

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site
        # Any common order will do: the one that most inputs have already.
        order = max(given, key=given.count)
        return (order,) * len(given), (order,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        kind = site.outputs[0].dtype.numpy
        parts = [
            table[array.astype(np.int64) & 0xFF].view(kind).astype(np.int64)
            if table.size
            else array
            for table, array in zip(self.tables, arrays, strict=True)
        ]
        return (np.concatenate(parts, axis=self.axis),)

    def lower(self, site: Site) -> KernelCall:
        require(
            len({*site.input_layouts, *site.output_layouts}) == 1,
            f"{self.name}: parts lie as {list(site.input_layouts)}, expected one order",
        )
        for source, table in zip(site.inputs, self.tables, strict=True):
            require(
                table.size > 0 or _is_subset(source, site.outputs[0]),
                f"{self.name}: part {source.name!r} has other codes than the output and needs a table",
            )
        place = site.input_layouts[0].index(self.axis)
        shapes = [site.input_memory_shape(index) for index in range(len(site.inputs))]
        size = site.outputs[0].dtype.size
        parts = tuple(
            Struct("ares_concat_part", (("length", prod(shape[place:]) * size), ("table", table)))
            for shape, table in zip(shapes, self.tables, strict=True)
        )
        fields = (("outer", prod(shapes[0][:place])), ("num_parts", len(parts)), ("parts", parts))
        return KernelCall("ares_concat", "concat.h", Struct("ares_concat_params", fields))


def _is_subset(source: Tensor, target: Tensor) -> bool:
    """Whether every code of `source` is a code of `target` and means the same there."""
    same = (source.dtype, source.scale, source.zero_point) == (
        target.dtype,
        target.scale,
        target.zero_point,
    )
    return same and target.lo <= source.lo and source.hi <= target.hi
