"""QuantAdd with everything up to the next quantiser: one exact weighted sum, one rounding.

eps: each coefficient is off by at most 1/2 in units of 2**-s and |code - z| <= 255, so the sum is off by at
most 255 * 2**-s (N10). Where the zero point limits s, s > 52. Else the larger coefficient is at least
2**30 - 1 and 2**-s at most m / (2**30 - 1), m being the larger ratio of an addend's scale to the output's:
2**-22 for m = 1, 2**-20 for m = 4. A larger m passes 2**-20 only where two nearly full addends cancel. A function
of the sum (GELU) adds what the grid of N5 does, as in `ares.ops.conv2d`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import CODES, GraphError, OutputRule, Tensor
from ares.numerics import INT32_MAX, Rescale
from ares.ops._broadcast import common_order, require_broadcast, split
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    rescale_struct,
)

_TOTAL_LIMIT = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Add(KernelOperation):
    """`out[...] = finish(a0 * in0[...] + a1 * in1[...] + offset)`

    Two inputs of one shape, or the second with size 1 where it is repeated; output shaped as the first.
    `coefficients` (a0, a1) and `rescale` come from `plan_weighted_sum`: the offset holds all zero points.
    """

    OP_TYPE = "OP_ADD"
    LAYER_TYPE = "Add"
    PYTHON_CLASS = "ares.nn.QuantAdd"
    EPS = 2.0**-20
    KERNEL = "add"

    coefficients: tuple[int, int]
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        require_broadcast(self.name, inputs)
        require(
            self.rescale.channels == 1,
            f"{self.name}: {self.rescale.channels} offsets, expected one for the tensor",
        )
        require(
            max(map(abs, self.coefficients)) <= INT32_MAX
            and self._largest_total(inputs) < _TOTAL_LIMIT,
            f"{self.name}: coefficients {list(self.coefficients)} pass 31 bits or the weighted sum may "
            "pass 62 bits",
        )
        return ((inputs[0].shape, CODES),)

    def _largest_total(self, inputs: Sequence[Tensor]) -> int:
        """Largest |a0 * code0 + a1 * code1 + offset|: the sum is 64 bit, so it has no int32 accumulator."""
        pairs = list(zip(self.coefficients, inputs, strict=True))
        offset = int(self.rescale.offset[0])
        ends = [sorted((a * source.lo, a * source.hi)) for a, source in pairs]
        low, high = (offset + sum(end[side] for end in ends) for side in (0, 1))
        return max(abs(low), abs(high))

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        order = common_order(site, given)
        return (order, order), (order,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        del site
        first, second = (
            a * array.astype(np.int64) for a, array in zip(self.coefficients, arrays, strict=True)
        )
        total = first + second + self.rescale.offset
        return (self.rescale.finish(total, self.rescale.shift),)

    def lower(self, site: Site) -> KernelCall:
        first, second = site.inputs
        places = split(site, site.input_layouts[0])
        if places is None or len(set(site.input_layouts)) != 1:
            raise GraphError(
                f"{self.name}: inputs lie as {list(site.input_layouts)}, expected one order with the "
                "repeated axes outermost"
            )
        repeats, count = places
        fields = (
            ("repeats", repeats),
            ("count", count),
            ("coefficient0", self.coefficients[0]),
            ("coefficient1", self.coefficients[1]),
            ("input0_signed", first.dtype.lo < 0),
            ("input1_signed", second.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall(
            "ares_add",
            "add.h",
            Struct("ares_add_params", fields),
            in_place=(0, 1) if repeats == 1 else (0,),
        )
