"""QuantIdentity on real values: the quantiser of a float input of the network (N6).

eps: the kernel computes t = fl(fl(x / s) + z) in binary32, with s the scale rounded to binary32; the
witness computes x / scale + z in float64. Inside the code range |x / s| < 256 and |t| < 256, so that the
rounded scale costs at most 255.5 * 2**-24 < 2**-16 codes, the division half a unit in the last place of a
number below 256, 2**-17, and the sum as much: together less than 2**-15, the witness' own 2**-44 included.
Without a zero point the sum is exact, and s8 codes (|x / s| < 129) stay under 2**-16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ares.ir import CODES, DType, OutputRule, Tensor
from ares.numerics import quantize_f32
from ares.ops._operation import (
    Array,
    Call,
    KernelOperation,
    Layout,
    Site,
    Struct,
    keep_layout,
    require,
)


@dataclass(frozen=True, slots=True, eq=False)
class Quantize(KernelOperation):
    """`out = clamp(round(in / scale + z))` in binary32, each operation rounded once, half to even

    Any shape, binary32 to codes; scale, z and the bounds are the output's. NaN becomes z, infinities clamp.
    """

    OP_TYPE = "OP_REQUANTIZE"
    LAYER_TYPE = "QuantIdentity"
    PYTHON_CLASS = "brevitas.nn.QuantIdentity"
    EPS = 2.0**-15
    KERNEL = "quantize_f32"

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require(
            source.dtype is DType.F32,
            f"{self.name}: input {source.name!r} is {source.dtype.value}, expected f32",
        )
        return ((source.shape, CODES),)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        return keep_layout(site, given)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        (result,) = site.outputs
        scale = float(self._scale(result))
        return (quantize_f32(arrays[0], scale, result.zero_point, result.lo, result.hi),)

    def lower(self, site: Site) -> Call:
        (result,) = site.outputs
        fields = (
            ("elements", result.size),
            ("scale", self._scale(result)),
            ("zero_point", result.zero_point),
            ("lo", result.lo),
            ("hi", result.hi),
        )
        return Call(
            "ares_quantize_f32", "quantize_f32.h", Struct("ares_quantize_f32_params", fields)
        )

    def _scale(self, result: Tensor) -> np.float32:
        scale, limits = result.scale or 0.0, np.finfo(np.float32)
        require(
            float(limits.tiny) <= scale <= float(limits.max),
            f"{self.name}: scale {result.scale} is no normal binary32 number",
        )
        return np.float32(scale)
