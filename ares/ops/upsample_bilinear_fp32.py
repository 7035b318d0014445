"""Bilinear interpolation whose result stays real (N9): a network that ends with maps in the size of the picture.

eps: as `ares.ops.linear_fp32`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import DType, OutputRule, Tensor
from ares.ops._bilinear import BilinearInterpolation
from ares.ops._operation import Array, KernelCall, Site, Struct
from ares.ops._real_output import real_output, require_constants, unit_of


@dataclass(frozen=True, slots=True, eq=False)
class UpsampleBilinearFp32(BilinearInterpolation):
    """`out[c,y,x] = (float)acc[c,y,x] * scale[c] + bias[c]`

    acc and its fields are those of UpsampleBilinear2d; scale binary32 [channels], which has the divisors, bias binary32
    [channels] or empty.
    """

    OP_TYPE = "OP_UPSAMPLE_BILINEAR_FP32"
    LAYER_TYPE = "UpsampleBilinear2d"
    PYTHON_CLASS = "torch.nn.UpsamplingBilinear2d"
    EPS = 2.0**-21
    KERNEL = "upsample_bilinear_fp32"

    scale: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        shape = self.out_shape(inputs, 1)
        none = np.zeros(0, np.int32)
        require_constants(self.name, shape[1], self.scale, none, self.bias)
        return ((shape, (DType.F32,)),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        acc, none = self.sums(site, arrays[0]), np.zeros(0, np.int32)
        return (real_output(acc, self.scale, none, self.bias, axis=1),)

    def unit(self, output: Tensor) -> Array:
        return unit_of(self.scale, output, 1)

    def lower(self, site: Site) -> KernelCall:
        fields = (("image", self.struct(site)), ("scale", self.scale), ("bias", self.bias))
        return KernelCall(
            "ares_upsample_bilinear_fp32",
            "upsample_bilinear_fp32.h",
            Struct("ares_upsample_bilinear_fp32_params", fields),
        )
