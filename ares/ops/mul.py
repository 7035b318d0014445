"""QuantMul with everything up to the next quantiser: one exact product, one rounding (N12).

eps: the product is an exact integer of at most 255 * 255 and the zero point in the offset is exact, so only the
multiplier's rounding counts, as in `ares.ops.avg_pool2d`: 2**-22. With a function before the quantiser the
steps are those of the product itself (N5), exact to float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import CODES, GraphError, OutputRule, Tensor
from ares.numerics import Rescale
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


@dataclass(frozen=True, slots=True, eq=False)
class Mul(KernelOperation):
    """`out[...] = rescale((in0[...] - z0) * (in1[...] - z1))`

    Two inputs of one shape, or the second with size 1 where it is repeated; output shaped as the first.
    """

    OP_TYPE = "OP_MUL"
    LAYER_TYPE = "Mul"
    PYTHON_CLASS = "ares.nn.QuantMul"
    EPS = 2.0**-22
    KERNEL = "mul"

    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        require_broadcast(self.name, inputs)
        require(
            self.rescale.channels == 1,
            f"{self.name}: {self.rescale.channels} multipliers, expected one for the tensor",
        )
        return ((inputs[0].shape, CODES),)

    def accumulator_bound(self, site: Site) -> int:
        first, second = site.inputs
        return first.largest_magnitude * second.largest_magnitude

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        order = common_order(site, given)
        return (order, order), (order,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        first, second = (
            array.astype(np.int64) - source.zero_point
            for array, source in zip(arrays, site.inputs, strict=True)
        )
        return (self.rescale.apply(first * second),)

    def lower(self, site: Site) -> KernelCall:
        first, second = site.inputs
        found = split(site, site.input_layouts[0])
        if found is None or len({*site.input_layouts, *site.output_layouts}) != 1:
            raise GraphError(
                f"{self.name}: inputs lie as {list(site.input_layouts)}, expected one order with the "
                "repeated axes outermost"
            )
        repeats, count = found
        fields = (
            ("repeats", repeats),
            ("count", count),
            ("input0_zero_point", first.zero_point),
            ("input1_zero_point", second.zero_point),
            ("input0_signed", first.dtype.lo < 0),
            ("input1_signed", second.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall(
            "ares_mul",
            "mul.h",
            Struct("ares_mul_params", fields),
            in_place=(0, 1) if repeats == 1 else (0,),
        )
