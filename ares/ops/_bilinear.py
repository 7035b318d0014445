"""What bilinear interpolations share: where the outputs lie among the inputs, exact sums, the fields of their kernels.

Where an output lies between two inputs is a fraction of small numbers, so the sum of weighted codes is an integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import Tensor
from ares.numerics import INT32_MAX
from ares.ops._operation import (
    Array,
    KernelOperation,
    Layout,
    Site,
    Struct,
    channels_last,
    require,
    require_codes,
)

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class BilinearInterpolation(KernelOperation):
    """acc[c,y,x] = sum over i,j of u[y,i] * u[x,j] * (in[c,i,j] - z), `u` as linear interpolation has it.

    Output y lies at n / divisor between two inputs, n = max(0, y * step + offset): the one at n div divisor has the
    weight divisor - n mod divisor, the next one the rest; beyond the last input all weight is its own. Input and output
    N C H W, or N C T with one row (batch 1). Sizes, steps, offsets and divisors are those of rows and columns.
    """

    sizes: Pair
    steps: Pair
    offsets: Pair
    divisors: Pair

    def out_shape(self, inputs: Sequence[Tensor], constants: int) -> tuple[int, ...]:
        """The shape of the sums; raises GraphError where something does not fit. `constants`: channels of those."""
        (source,) = inputs
        require_codes(source)
        rank = len(source.shape)
        require(
            rank in (3, 4) and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected [1, C, H, W] or [1, C, T]",
        )
        require(
            min(*self.sizes, *self.divisors) >= 1 and min(self.steps) >= 0,
            f"{self.name}: sizes {self.sizes} and divisors {self.divisors} must be positive, steps {self.steps} not "
            "negative",
        )
        last = [(size - 1) * step for size, step in zip(self.sizes, self.steps, strict=True)]
        ends = [end + offset for end, offset in zip(last, self.offsets, strict=True)]
        require(
            max(*last, *map(abs, (*ends, *self.offsets))) <= INT32_MAX,
            f"{self.name}: positions of {self.sizes} outputs in steps of {self.steps} leave int32",
        )
        require(rank == 4 or self.sizes[0] == 1, f"{self.name}: {self.sizes[0]} rows of a sequence")
        channels = source.shape[1]
        require(
            constants in (1, channels),
            f"{self.name}: {constants} multipliers for {channels} channels",
        )
        return (1, channels, *self.sizes[4 - rank :])

    def accumulator_bound(self, site: Site) -> int:
        return self.divisors[0] * self.divisors[1] * site.inputs[0].largest_magnitude

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        order = channels_last(len(site.inputs[0].shape))
        return (order,), (order,)

    def sums(self, site: Site, codes: Array) -> Array:
        """Accumulators int64, in the output's shape."""
        acc = codes.astype(np.int64) - site.inputs[0].zero_point
        acc = acc.reshape(_as_image(acc.shape))
        # One axis after the other: the weight of a pixel is the product of its row's and its column's.
        lines = zip(self.sizes, self.steps, self.offsets, self.divisors, strict=True)
        for axis, (size, step, offset, divisor) in enumerate(lines, start=2):
            last = acc.shape[axis] - 1
            place = np.maximum(np.arange(size) * step + offset, 0)
            near, share = np.divmod(place, divisor)
            near, far = np.minimum(near, last), np.minimum(near + 1, last)
            share = share.reshape((-1, 1) if axis == 2 else (-1,))
            acc = acc.take(near, axis) * (divisor - share) + acc.take(far, axis) * share
        return acc.reshape(site.outputs[0].shape)

    def struct(self, site: Site) -> Struct:
        """The initialiser of `ares_bilinear` (runtime/inc/bilinear.h)."""
        (source,) = site.inputs
        _, channels, in_h, in_w = _as_image(source.shape)
        fields = (
            ("down", self._line(in_h, 0)),
            ("across", self._line(in_w, 1)),
            ("channels", channels),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
        )
        return Struct("ares_bilinear", fields)

    def _line(self, size: int, axis: int) -> Struct:
        """The initialiser of `ares_line` (runtime/inc/bilinear.h)."""
        return Struct(
            "ares_line",
            (
                ("in", size),
                ("out", self.sizes[axis]),
                ("step", self.steps[axis]),
                ("offset", self.offsets[axis]),
                ("divisor", self.divisors[axis]),
            ),
        )


def _as_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A sequence is an image of one row."""
    return shape if len(shape) == 4 else (*shape[:2], 1, shape[2])
