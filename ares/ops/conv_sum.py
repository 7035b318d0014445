"""QuantConv2d, QuantConv1d or QuantLinear with an average, a mean or a sum over positions behind it: one exact sum.

eps: as `ares.ops.conv2d`; the sum over a window is a longer accumulator, and its divisor is part of the multiplier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale
from ares.ops._convolution import SummedConvolution
from ares.ops._operation import Array, KernelCall, Site, Struct, rescale_struct


@dataclass(frozen=True, slots=True, eq=False)
class ConvSum(SummedConvolution):
    """`out[o,y,x] = rescale(sum over a window at y,x of (sum over c,i,j of (in[c, ...] - z) * w[o,c,i,j]))`

    Input and output [1, C, H, W] or [1, C, T]; the inner sum is that of a convolution, the outer one goes over its
    results in a window, whose padding adds nothing. A linear layer of tokens is a convolution with a kernel of one, and
    has its channels last: [1, T, C], [1, A, B, C].
    """

    OP_TYPE = "OP_CONV_SUM"
    LAYER_TYPE = "QuantConv2d"
    PYTHON_CLASS = "brevitas.nn.QuantConv2d"
    EPS = 2.0**-20
    KERNEL = "conv_sum"

    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        return ((self.out_shape(inputs, self.rescale.channels), CODES),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        return (self.rescale.apply(self.sums(site, arrays[0]), axis=self.axis),)

    def lower(self, site: Site) -> KernelCall:
        fields = (
            ("conv", self.struct(site)),
            *self.sum_fields(site),
            ("rescale", rescale_struct(self.rescale)),
        )
        params = Struct("ares_conv_sum_params", fields)
        return KernelCall("ares_conv_sum", "conv_sum.h", params, self.scratch(site))
