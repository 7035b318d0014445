"""AvgPool2d with everything up to the next quantiser: one exact sum, one rounding.

eps: the zero point in the offset is exact, so only the multiplier's rounding counts: |acc| * 2**-(s + 1).
Where M < 2**31 limits s, M >= 2**30 - 1 and a code inside its range has |acc| * M / 2**s < 256, which gives
2**-23. Where the 62 bits of acc * M + B limit s, either M >= 2**29 - 1 (2**-22) or B, the zero point's part,
is at least 2**60, so s > 52 and |acc| < 2**31 gives 2**-23. Hence 2**-22 for windows of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Site,
    Struct,
    require,
    require_codes,
    rescale_struct,
)
from ares.ops._window import Windows, counts, image_fields, image_windows, taps


@dataclass(frozen=True, slots=True, eq=False)
class AvgPool2d(KernelOperation):
    """`out[c,y,x] = rescale(sum over i,j of (in[c, y*s+i-p, x*s+j-p] - z))`

    Input and output N C H W (batch 1). `padding` is (top, left, bottom, right): real zeros, which count
    (count_include_pad), so the divisor kh * kw is the same everywhere; it is part of `rescale`.
    """

    OP_TYPE = "OP_AVGPOOL"
    LAYER_TYPE = "AvgPool2d"
    PYTHON_CLASS = "torch.nn.AvgPool2d"
    EPS = 2.0**-22
    KERNEL = "avg_pool2d"

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        require(
            len(source.shape) == 4 and source.shape[0] == 1,
            f"{self.name}: input is {list(source.shape)}, expected [1, C, H, W]",
        )
        require(
            min(*self.kernel, *self.stride) >= 1 and min(self.padding) >= 0,
            f"{self.name}: kernel {self.kernel} and stride {self.stride} must be positive, "
            f"padding {self.padding} not negative",
        )
        require(
            self.rescale.channels == 1,
            f"{self.name}: {self.rescale.channels} multipliers, expected one for the tensor",
        )
        sizes = counts(self.name, source.shape, self._windows)
        return (((1, source.shape[1], *sizes), CODES),)

    @property
    def _windows(self) -> Windows:
        return image_windows(self.kernel, self.stride, self.padding)

    def accumulator_bound(self, site: Site) -> int:
        return self.kernel[0] * self.kernel[1] * site.inputs[0].largest_magnitude

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        steps = arrays[0].astype(np.int64) - site.inputs[0].zero_point
        acc = taps(steps, self._windows).sum(axis=(4, 5))
        return (self.rescale.apply(acc),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        fields = (
            *image_fields(source.shape, self._windows),
            ("channels", source.shape[1]),
            ("input_zero_point", source.zero_point),
            ("input_signed", source.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall(
            "ares_avg_pool2d", "avg_pool2d.h", Struct("ares_avg_pool2d_params", fields)
        )
