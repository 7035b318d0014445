"""QuantConv2d or QuantConv1d whose result stays real (N9): a network that ends without a quantiser, a detector's head.

An average over positions may stand behind it, as in networks whose last layer is a convolution for each class.
eps: as `ares.ops.linear_fp32`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import DType, OutputRule, Tensor
from ares.ops._convolution import SummedConvolution
from ares.ops._operation import Array, KernelCall, Site, Struct
from ares.ops._real_output import bias_bound, real_output, require_constants, unit_of


@dataclass(frozen=True, slots=True, eq=False)
class ConvFp32(SummedConvolution):
    """`out[o,y,x] = (float)(bias_codes[o] + sum over a window at y,x of conv[o,...]) * scale[o] + bias[o]`

    conv[o,y,x] = sum over c,i,j of (in[c, y*s+i*d-p, x*s+j*d-p] - z) * w[o,c,i,j]. Input codes and output binary32 are
    [1, C, H, W] or [1, C, T], or have their channels last; a window of one position where nothing is averaged. scale
    and bias binary32 [out], bias_codes int32 [out]; either bias may be empty.
    """

    OP_TYPE = "OP_CONV_FP32"
    LAYER_TYPE = "QuantConv2d"
    PYTHON_CLASS = "brevitas.nn.QuantConv2d"
    EPS = 2.0**-21
    KERNEL = "conv_fp32"

    scale: npt.NDArray[np.float32]
    bias_codes: npt.NDArray[np.int32]
    bias: npt.NDArray[np.float32]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        channels = self.weight.shape[0]
        require_constants(self.name, channels, self.scale, self.bias_codes, self.bias)
        return ((self.out_shape(inputs, channels), (DType.F32,)),)

    def accumulator_bound(self, site: Site) -> int:
        return SummedConvolution.accumulator_bound(self, site) + bias_bound(self.bias_codes)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        acc = self.sums(site, arrays[0])
        return (real_output(acc, self.scale, self.bias_codes, self.bias, axis=self.axis),)

    def unit(self, output: Tensor) -> Array:
        return unit_of(self.scale, output, self.axis)

    def lower(self, site: Site) -> KernelCall:
        fields = (
            ("conv", self.struct(site)),
            *self.sum_fields(site),
            ("bias_codes", self.bias_codes),
            ("scale", self.scale),
            ("bias", self.bias),
        )
        params = Struct("ares_conv_fp32_params", fields)
        return KernelCall("ares_conv_fp32", "conv_fp32.h", params, self.scratch(site))
