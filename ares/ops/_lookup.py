"""What the operations that map each 8-bit code to one code share: the table is the whole operation.

The tables come from `ares.numerics.lookup_table` (N7, N8). eps of all of them: the table is correctly rounded
from exact rationals or from float64, so only the float64 rounding of table and witness is left,
a few 2**-53 relative to at most 2**9 codes: under 2**-40.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    keep_layout,
    require,
    require_codes,
)


@dataclass(frozen=True, slots=True, eq=False)
class LookupOperation(KernelOperation):
    """`out = table[byte of in]`; table uint8[256] holds the bytes of the output's codes."""

    EPS: ClassVar[float] = 2.0**-40
    KERNEL: ClassVar[str] = "lookup"

    table: npt.NDArray[np.uint8]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            self.table.shape == (256,) and self.table.dtype == np.uint8,
            f"{self.name}: table is {self.table.dtype}{list(self.table.shape)}, expected uint8[256]",
        )
        return ((source.shape, CODES),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        return keep_layout(site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        codes = self.table.view(site.outputs[0].dtype.numpy)
        return (codes.astype(np.int64)[arrays[0].astype(np.int64) & 0xFF],)

    def lower(self, site: Site) -> KernelCall:
        fields = (("elements", site.outputs[0].size), ("table", self.table))
        return KernelCall(
            "ares_lookup", "lookup.h", Struct("ares_lookup_params", fields), in_place=(0,)
        )
