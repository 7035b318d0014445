"""QuantConvTranspose2d or 1d whose result stays real (N9): a decoder that ends without a quantiser.

eps: as `ares.ops.linear_fp32`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import DType, OutputRule, Tensor
from ares.ops._operation import Array, KernelCall, Site, Struct
from ares.ops._real_output import bias_bound, real_output, require_constants, unit_of
from ares.ops._transposed import TransposedConvolution


@dataclass(frozen=True, slots=True, eq=False)
class ConvTransposeFp32(TransposedConvolution):
    """`out[o,y,x] = (float)(bias_codes[o] + acc[o,y,x]) * scale[o] + bias[o]`

    acc[o,y,x] = sum over c, i*s+k*d-p = y, j*s+l*d-p = x of (in[c,i,j] - z) * w[c,o,k,l]. Input codes and output
    binary32 are N C H W or N C T (batch 1); weight s8 [in, out / groups, kernel...]. scale and bias binary32 [out],
    bias_codes int32 [out]; either bias may be empty.
    """

    OP_TYPE = "OP_CONV_TRANSPOSE_FP32"
    LAYER_TYPE = "QuantConvTranspose2d"
    PYTHON_CLASS = "brevitas.nn.QuantConvTranspose2d"
    EPS = 2.0**-21
    KERNEL = "conv_transpose_fp32"

    scale: npt.NDArray[np.float32]
    bias_codes: npt.NDArray[np.int32]
    bias: npt.NDArray[np.float32]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        channels = self.weight.shape[1] * self.groups
        require_constants(self.name, channels, self.scale, self.bias_codes, self.bias)
        return ((self.out_shape(inputs, channels), (DType.F32,)),)

    def accumulator_bound(self, site: Site) -> int:
        return TransposedConvolution.accumulator_bound(self, site) + bias_bound(self.bias_codes)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        acc = self.sums(site, arrays[0])
        return (real_output(acc, self.scale, self.bias_codes, self.bias, axis=1),)

    def unit(self, output: Tensor) -> Array:
        return unit_of(self.scale, output, 1)

    def lower(self, site: Site) -> KernelCall:
        fields = (
            ("conv", self.struct(site)),
            ("bias_codes", self.bias_codes),
            ("scale", self.scale),
            ("bias", self.bias),
        )
        return KernelCall(
            "ares_conv_transpose_fp32",
            "conv_transpose_fp32.h",
            Struct("ares_conv_transpose_fp32_params", fields),
        )
