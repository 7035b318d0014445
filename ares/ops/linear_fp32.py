"""QuantLinear whose result stays real (N9): the logits of a network that ends without a quantiser.

eps is relative to |result| + |bias| of each element. Conversion, scale, product, bias and sum are each rounded once
(2**-24 each): the error is at most 2**-24 * (3 |product| + |bias| + |result|), and |product| <= |result| + |bias|, so
2**-22 holds; 2**-21 leaves room for the float64 of the witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import DType, OutputRule, Tensor
from ares.numerics import INT32_MAX, exact_matmul
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    raw_excess,
    require,
    require_codes,
    row_major,
    weight_bound,
)
from ares.ops._panels import panels, token_rows_scratch
from ares.ops._real_output import bias_bound, real_output, require_constants, unit_of


@dataclass(frozen=True, slots=True, eq=False)
class LinearFp32(KernelOperation):
    """`out[...,o] = (float)(bias_codes[o] + sum over i of (in[...,i] - z) * w[o,i]) * scale[o] + bias[o]`

    Input [..., in_features] codes, output binary32; scale and bias binary32 [out_features]; `bias_codes` int32
    [out_features]. Either bias may be empty.
    """

    OP_TYPE = "OP_LINEAR_FP32"
    LAYER_TYPE = "QuantLinear"
    PYTHON_CLASS = "brevitas.nn.QuantLinear"
    EPS = 2.0**-21
    KERNEL = "linear_fp32"

    weight: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]
    bias_codes: npt.NDArray[np.int32]
    bias: npt.NDArray[np.float32]

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        out_features, in_features = self.weight.shape
        require(
            source.shape[-1] == in_features and len(source.shape) >= 2,
            f"{self.name}: input {list(source.shape)} does not end with {in_features} features",
        )
        require_constants(self.name, out_features, self.scale, self.bias_codes, self.bias)
        return (((*source.shape[:-1], out_features), (DType.F32,)),)

    def accumulator_bound(self, site: Site) -> int:
        return weight_bound(self.weight, site.inputs[0]) + bias_bound(self.bias_codes)

    def macs(self, site: Site) -> int:
        return int(site.outputs[0].size * self.weight.shape[1])

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del given
        order = row_major(len(site.inputs[0].shape))
        return (order,), (order,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        acc = exact_matmul(arrays[0] - site.inputs[0].zero_point, self.weight.T)
        return (real_output(acc, self.scale, self.bias_codes, self.bias),)

    def unit(self, output: Tensor) -> Array:
        return unit_of(self.scale, output)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        out_features, in_features = self.weight.shape
        fields = (
            ("tokens", source.size // in_features),
            ("in_features", in_features),
            ("out_features", out_features),
            ("input_signed", source.dtype.lo < 0),
            ("weight", panels(self.weight[:, np.newaxis])),
            ("bias_codes", self._raw_bias_codes(source)),
            ("scale", self.scale),
            ("bias", self.bias),
        )
        params = Struct("ares_linear_fp32_params", fields)
        scratch = token_rows_scratch(source.size // in_features, in_features)
        return KernelCall("ares_linear_fp32", "linear_fp32.h", params, scratch)

    def _raw_bias_codes(self, source: Tensor) -> Array:
        """What sums of raw codes lack: the bias, less the zero point times the weights."""
        excess = raw_excess(self.weight, source)
        if not excess.any():
            return self.bias_codes
        codes = (self.bias_codes if self.bias_codes.size else 0) - excess
        require(
            int(np.abs(codes).max()) <= INT32_MAX,
            f"{self.name}: bias and zero point together leave int32; use fewer input features",
        )
        return codes.astype(np.int32)
