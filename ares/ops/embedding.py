"""Embedding: every id is replaced by its row of a table of codes, made at extraction (N17).

eps: rows are copied, so the rule holds with what making the table costs: weight / scale + zero point in float64,
as the witness computes it: 3 roundings of 2**-53 of at most 511.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, DType, GraphError, OutputRule, Tensor
from ares.numerics import INT32_MAX
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


@dataclass(frozen=True, slots=True, eq=False)
class Embedding(KernelOperation):
    """`out[...,d] = table[in[...],d]`

    Input s32 ids of any shape, 0 to vocabulary - 1: others are ARES_ERROR_INPUT. `table`: codes of the output, int8
    or uint8 [vocabulary, dim].
    """

    OP_TYPE = "OP_EMBEDDING"
    LAYER_TYPE = "Embedding"
    PYTHON_CLASS = "torch.nn.Embedding"
    EPS = 2.0**-40
    KERNEL = "embedding"

    table: npt.NDArray[np.int8 | np.uint8]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (ids,) = inputs
        require(
            ids.dtype is DType.S32,
            f"{self.name}: ids {ids.name!r} are {ids.dtype.value}, expected s32",
        )
        require(
            self.table.ndim == 2 and 1 <= self.table.size <= INT32_MAX,
            f"{self.name}: a table of shape {list(self.table.shape)}, expected [vocabulary, dim] with "
            "less than 2^31 elements",
        )
        allowed = tuple(kind for kind in CODES if kind.numpy == self.table.dtype)
        require(
            bool(allowed),
            f"{self.name}: a table of {self.table.dtype.name}, expected int8 or uint8",
        )
        return (((*ids.shape, self.table.shape[1]), allowed),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        rank = len(site.inputs[0].shape)
        return (row_major(rank),), (row_major(rank + 1),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        del site
        (ids,) = arrays
        if ids.min() < 0 or ids.max() >= len(self.table):
            raise GraphError(
                f"{self.name}: ids {ids.min()}..{ids.max()}, expected 0..{len(self.table) - 1}"
            )
        return (self.table.astype(np.int64)[ids],)

    def lower(self, site: Site) -> KernelCall:
        vocabulary, dim = self.table.shape
        fields = (
            ("tokens", site.inputs[0].size),
            ("vocabulary", vocabulary),
            ("dim", dim),
            ("table", np.ascontiguousarray(self.table).view(np.int8)),
        )
        return KernelCall("ares_embedding", "embedding.h", Struct("ares_embedding_params", fields))
