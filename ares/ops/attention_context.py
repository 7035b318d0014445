"""Context of attention: values weighted by probabilities, one exact sum, one rounding.

eps: as `ares.ops.conv2d`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale, exact_matmul
from ares.ops._attention import by_heads, group_length, in_order, require_heads, require_tokens
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    require_codes,
    rescale_struct,
    row_major,
)
from ares.ops._panels import codes_product_scratch


@dataclass(frozen=True, slots=True, eq=False)
class AttentionContext(KernelOperation):
    """`out[g,i,h,d] = rescale(sum over j of (w[g*heads+h,i,j] - z_w) * (v[g,j,kv(h),d] - z_v))`

    Weights [1, groups * num_heads, queries, keys], values [1, tokens, num_kv_heads * d] with groups as in
    AttentionScores. Output [1, tokens, num_heads * d] in the tokens' own order; with `shared` queries
    [1, groups * queries, num_heads * d], group by group.
    """

    OP_TYPE = "OP_ATTENTION_CONTEXT"
    LAYER_TYPE = "AttentionContext"
    PYTHON_CLASS = "ares.nn.leaves.attention.AttentionContext"
    EPS = 2.0**-20
    KERNEL = "attention_context"

    num_heads: int
    num_kv_heads: int
    outer: int
    inner: int
    shared: bool
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        weights, values = inputs
        require_codes(weights)
        require_tokens(self.name, "values", values)
        require_heads(self.name, self.num_heads, self.num_kv_heads)
        groups = self.outer * self.inner
        length = group_length(self.name, values.shape[1], self.outer, self.inner)
        require(
            values.shape[2] % self.num_kv_heads == 0,
            f"{self.name}: {values.shape[2]} features do not fall into {self.num_kv_heads} heads",
        )
        asked = weights.shape[2] if self.shared and len(weights.shape) == 4 else length
        wanted = (1, groups * self.num_heads, asked, length)
        require(
            weights.shape == wanted,
            f"{self.name}: weights have shape {list(weights.shape)}, expected {list(wanted)}",
        )
        require(self.rescale.channels == 1, f"{self.name}: expected one multiplier for the tensor")
        features = values.shape[2] // self.num_kv_heads * self.num_heads
        return (((1, groups * asked, features), CODES),)

    def accumulator_bound(self, site: Site) -> int:
        weights, values = site.inputs
        return weights.shape[3] * weights.largest_magnitude * values.largest_magnitude

    def macs(self, site: Site) -> int:
        return site.outputs[0].size * site.inputs[0].shape[3]

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site, given
        return (row_major(4), row_major(3)), (row_major(3),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        w, v = (
            array.astype(int) - tensor.zero_point
            for array, tensor in zip(arrays, site.inputs, strict=True)
        )
        _, rows, asked, keys = w.shape
        weights = w.reshape(rows // self.num_heads, self.num_heads, asked, keys)
        values = by_heads(v, self.outer, self.inner, self.num_kv_heads, self.num_heads)
        acc = exact_matmul(weights, values)
        order = (self.outer * self.inner, 1) if self.shared else (self.outer, self.inner)
        return (self.rescale.apply(in_order(acc, *order)),)

    def lower(self, site: Site) -> KernelCall:
        weights, values = site.inputs
        _, _, asked, keys = weights.shape
        head_dim = values.shape[2] // self.num_kv_heads
        fields = (
            ("outer", self.outer),
            ("inner", self.inner),
            ("queries", asked),
            ("keys", keys),
            ("num_heads", self.num_heads),
            ("num_kv_heads", self.num_kv_heads),
            ("head_dim", head_dim),
            ("shared", self.shared),
            ("weight_zero_point", weights.zero_point),
            ("weight_signed", weights.dtype.lo < 0),
            ("value_zero_point", values.zero_point),
            ("value_signed", values.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall(
            "ares_attention_context",
            "attention_context.h",
            Struct("ares_attention_context_params", fields),
            scratch=codes_product_scratch(asked, keys, values),
        )
