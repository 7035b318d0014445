"""QuantLinear with everything up to the next quantiser: one exact sum, one rounding.

Works on the last axis, so N F and token-wise N T F are one operation. eps: as `ares.ops.conv2d`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale, exact_matmul
from ares.ops._convolution import pointwise_calls
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
    rescale_struct,
    row_major,
    weight_bound,
)
from ares.ops._panels import panels, token_rows_scratch


@dataclass(frozen=True, slots=True, eq=False)
class Linear(KernelOperation):
    """`out[...,o] = rescale(sum over i of (in[...,i] - z) * w[o,i])`

    Input [..., in_features], weight s8 [out_features, in_features].
    """

    OP_TYPE = "OP_LINEAR_INT8"
    LAYER_TYPE = "QuantLinear"
    PYTHON_CLASS = "brevitas.nn.QuantLinear"
    EPS = 2.0**-20
    KERNEL = "linear"

    weight: npt.NDArray[np.int8]
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        (source,) = inputs
        require_codes(source)
        out_features, in_features = self.weight.shape
        require(
            source.shape[-1] == in_features and len(source.shape) >= 2,
            f"{self.name}: input {list(source.shape)} does not end with {in_features} features",
        )
        require(
            self.rescale.channels in (1, out_features),
            f"{self.name}: {self.rescale.channels} multipliers for {out_features} features",
        )
        return (((*source.shape[:-1], out_features), CODES),)

    def accumulator_bound(self, site: Site) -> int:
        return weight_bound(self.weight, site.inputs[0])

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
        return (self.rescale.apply(acc),)

    def lower(self, site: Site) -> KernelCall:
        (source,) = site.inputs
        out_features, in_features = self.weight.shape
        fields = (
            ("tokens", source.size // in_features),
            ("in_features", in_features),
            ("out_features", out_features),
            ("input_signed", source.dtype.lo < 0),
            ("weight", panels(self.weight[:, np.newaxis])),
            ("rescale", rescale_struct(self.rescale, raw_excess(self.weight, source))),
        )
        params = Struct("ares_linear_params", fields)
        return KernelCall(
            "ares_linear",
            "linear.h",
            params,
            token_rows_scratch(source.size // in_features, in_features),
        )

    def other_calls(self, site: Site) -> Sequence[KernelCall]:
        """By the kernel of convolutions: tokens as pixels."""
        return pointwise_calls(site.inputs[0], self.weight, self.rescale)
