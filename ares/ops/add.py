"""QuantAdd with everything up to the next quantiser: one exact weighted sum, one rounding.

eps: each coefficient is off by at most 1/2 in units of 2**-s and |code - z| <= 255, so the sum is off by at
most 255 * 2**-s (N10). Where the zero point limits s, s > 52. Else the larger coefficient is at least
2**30 - 1 and 2**-s at most m / (2**30 - 1), m being the larger ratio of an addend's scale to the output's:
2**-22 for m = 1, 2**-20 for m = 4. A larger m passes 2**-20 only where two nearly full addends cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from ares.ir import CODES, GraphError, OutputRule, Tensor
from ares.numerics import INT32_MAX, Rescale
from ares.ops._operation import (
    Array,
    Call,
    KernelOperation,
    Layout,
    Site,
    Struct,
    channels_last,
    require,
    require_codes,
    rescale_struct,
    row_major,
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
        require(len(inputs) == 2, f"{self.name}: {len(inputs)} inputs, expected 2")
        first, second = inputs
        require_codes(first)
        require_codes(second)
        require(
            len(first.shape) == len(second.shape)
            and all(b in (1, a) for a, b in zip(first.shape, second.shape, strict=True)),
            f"{self.name}: shapes differ: {list(first.shape)} and {list(second.shape)}; the second may "
            "be smaller only by sizes of 1",
        )
        require(
            self.rescale.channels == 1,
            f"{self.name}: {self.rescale.channels} offsets, expected one for the tensor",
        )
        require(
            min(self.coefficients) >= 0
            and max(self.coefficients) <= INT32_MAX
            and self._largest_total(inputs) < _TOTAL_LIMIT,
            f"{self.name}: coefficients {list(self.coefficients)} leave [0, 2^31) or the weighted sum may "
            "pass 62 bits",
        )
        return ((first.shape, CODES),)

    def _largest_total(self, inputs: Sequence[Tensor]) -> int:
        """Largest |a0 * code0 + a1 * code1 + offset|: the sum is 64 bit, so it has no int32 accumulator."""
        pairs = list(zip(self.coefficients, inputs, strict=True))
        offset = int(self.rescale.offset[0])
        low = offset + sum(a * source.lo for a, source in pairs)
        high = offset + sum(a * source.hi for a, source in pairs)
        return max(abs(low), abs(high))

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        rank = len(given[0])
        repeated = self._repeated(site)
        outermost = (*repeated, *(axis for axis in range(rank) if axis not in repeated))
        candidates = (*given, channels_last(rank), row_major(rank), outermost)
        order = next(layout for layout in candidates if self._split(site, layout) is not None)
        return (order, order), (order,)

    def _repeated(self, site: Site) -> tuple[int, ...]:
        """Axes along which the second input is repeated."""
        first, second = site.inputs
        pairs = enumerate(zip(first.shape, second.shape, strict=True))
        return tuple(axis for axis, (a, b) in pairs if a != b)

    def _split(self, site: Site, layout: Layout) -> tuple[int, int] | None:
        """Memory as [repeats][count]; None unless the axes of repetition are the outermost."""
        (first, second), repeated = site.inputs, self._repeated(site)
        sizes = [first.shape[axis] for axis in layout]
        end = max((layout.index(axis) + 1 for axis in repeated), default=0)
        # Axes of size 1 may lie anywhere.
        if prod(sizes[:end]) != prod(first.shape[axis] for axis in repeated):
            return None
        return prod(sizes[:end]), second.size

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        del site
        first, second = (
            a * array.astype(np.int64) for a, array in zip(self.coefficients, arrays, strict=True)
        )
        total = first + second + self.rescale.offset
        return (self.rescale.finish(total, self.rescale.shift),)

    def lower(self, site: Site) -> Call:
        first, second = site.inputs
        split = self._split(site, site.input_layouts[0])
        if split is None or len(set(site.input_layouts)) != 1:
            raise GraphError(
                f"{self.name}: inputs lie as {list(site.input_layouts)}, expected one order with the "
                "repeated axes outermost"
            )
        repeats, count = split
        fields = (
            ("repeats", repeats),
            ("count", count),
            ("coefficient0", self.coefficients[0]),
            ("coefficient1", self.coefficients[1]),
            ("input0_signed", first.dtype.lo < 0),
            ("input1_signed", second.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return Call(
            "ares_add",
            "add.h",
            Struct("ares_add_params", fields),
            in_place=(0, 1) if repeats == 1 else (0,),
        )
