"""A tensor that does not depend on the input: a position table, learned queries.

The codes are those that the model's quantiser makes of the table, computed once at extraction in float64; nothing
runs on the target, the tensor lies among the weights. eps: the table is rounded from float64, so only the float64
rounding of the quotient is left, a few 2**-53 relative to at most 2**9 codes: under 2**-40.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.ops._operation import (
    Array,
    Data,
    KernelOperation,
    Layout,
    Site,
    require,
    row_major,
)


@dataclass(frozen=True, slots=True, eq=False)
class Constant(KernelOperation):
    """`out = codes`

    No input; codes int16 of the output's shape, whose first axis is the batch of one.
    """

    OP_TYPE = "OP_CONSTANT"
    LAYER_TYPE = "Constant"
    PYTHON_CLASS = "ares.nn.PositionalEmbedding"
    EPS = 2.0**-40
    KERNEL = ""

    codes: npt.NDArray[np.int16]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        require(not inputs, f"{self.name}: {len(inputs)} inputs, expected none")
        require(
            self.codes.ndim >= 2 and self.codes.shape[0] == 1,
            f"{self.name}: shape {list(self.codes.shape)}, expected a first axis of 1 (the batch)",
        )
        return ((self.codes.shape, CODES),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site, given
        return (), (row_major(self.codes.ndim),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        del site, arrays
        return (self.codes.astype(np.int64),)

    def lower(self, site: Site) -> Data:
        return Data(self.codes.astype(site.outputs[0].dtype.numpy))
