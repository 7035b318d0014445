"""UpsampleBilinear2d with everything up to the next quantiser: one exact sum, one rounding.

eps: as `ares.ops.conv2d`, an exact sum with a ratio and an offset: 2**-20.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale
from ares.ops._bilinear import BilinearInterpolation
from ares.ops._operation import Array, KernelCall, Site, Struct, rescale_struct


@dataclass(frozen=True, slots=True, eq=False)
class UpsampleBilinear2d(BilinearInterpolation):
    """`out[c,y,x] = rescale(sum over i,j of u[y,i] * u[x,j] * (in[c,i,j] - z))`, `u` as linear interpolation has it

    Output y lies at n / divisor between two inputs, n = max(0, y * step + offset): the one at n div divisor has the
    weight divisor - n mod divisor, the next one the rest; beyond the last input all weight is its own. Input and output
    N C H W, or N C T with one row (batch 1). Sizes, steps, offsets and divisors are those of rows and columns; the
    product of the divisors is part of `rescale`.
    """

    OP_TYPE = "OP_UPSAMPLE_BILINEAR2D"
    LAYER_TYPE = "UpsampleBilinear2d"
    PYTHON_CLASS = "torch.nn.UpsamplingBilinear2d"
    EPS = 2.0**-20
    KERNEL = "upsample_bilinear2d"

    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        return ((self.out_shape(inputs, self.rescale.channels), CODES),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        return (self.rescale.apply(self.sums(site, arrays[0]), axis=1),)

    def lower(self, site: Site) -> KernelCall:
        fields = (("image", self.struct(site)), ("rescale", rescale_struct(self.rescale)))
        return KernelCall(
            "ares_upsample_bilinear2d",
            "upsample_bilinear2d.h",
            Struct("ares_upsample_bilinear2d_params", fields),
        )
