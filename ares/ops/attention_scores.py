"""Scores of attention: queries times keys, one exact sum, one rounding.

eps: as `ares.ops.conv2d`; 1 / sqrt(head_dim) is part of the ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale, exact_matmul
from ares.ops._attention import by_heads, group_length, require_heads, require_tokens
from ares.ops._operation import (
    Array,
    KernelCall,
    KernelOperation,
    Layout,
    Site,
    Struct,
    require,
    rescale_struct,
    row_major,
)
from ares.ops._panels import codes_product_scratch


@dataclass(frozen=True, slots=True, eq=False)
class AttentionScores(KernelOperation):
    """`out[g*heads+h,i,j] = rescale(sum over d of (q[g,i,h,d] - z_q) * (k[g,j,kv(h),d] - z_k))`

    q [1, tokens, num_heads * d], k [1, tokens, num_kv_heads * d], kv(h) = h // (num_heads / num_kv_heads). Tokens
    are numbered (o * length + l) * inner + i, attention runs over l in each of outer * inner groups. `shared`:
    all groups ask the same queries. 1 / sqrt(d) is part of `rescale`.
    """

    OP_TYPE = "OP_ATTENTION_SCORES"
    LAYER_TYPE = "AttentionScores"
    PYTHON_CLASS = "ares.nn.leaves.attention.AttentionScores"
    EPS = 2.0**-20
    KERNEL = "attention_scores"

    num_heads: int
    num_kv_heads: int
    outer: int
    inner: int
    shared: bool
    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        queries, keys = inputs
        require_tokens(self.name, "queries", queries)
        require_tokens(self.name, "keys", keys)
        require_heads(self.name, self.num_heads, self.num_kv_heads)
        require(
            queries.shape[2] % self.num_heads == 0
            and queries.shape[2] // self.num_heads * self.num_kv_heads == keys.shape[2],
            f"{self.name}: queries of {queries.shape[2]} features in {self.num_heads} heads do not match keys "
            f"of {keys.shape[2]} in {self.num_kv_heads}",
        )
        length = group_length(self.name, keys.shape[1], self.outer, self.inner)
        require(
            self.shared or queries.shape[1] == keys.shape[1],
            f"{self.name}: {queries.shape[1]} queries for {keys.shape[1]} keys in groups",
        )
        require(self.rescale.channels == 1, f"{self.name}: expected one multiplier for the tensor")
        asked = queries.shape[1] if self.shared else length
        return (((1, self.outer * self.inner * self.num_heads, asked, length), CODES),)

    def accumulator_bound(self, site: Site) -> int:
        queries, keys = site.inputs
        depth = queries.shape[2] // self.num_heads
        return depth * queries.largest_magnitude * keys.largest_magnitude

    def macs(self, site: Site) -> int:
        return site.outputs[0].size * (site.inputs[0].shape[2] // self.num_heads)

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        del site, given
        return (row_major(3), row_major(3)), (row_major(4),)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        q, k = (
            array.astype(int) - tensor.zero_point
            for array, tensor in zip(arrays, site.inputs, strict=True)
        )
        asked = (1, 1) if self.shared else (self.outer, self.inner)
        queries = by_heads(q, *asked, self.num_heads, self.num_heads)
        keys = by_heads(k, self.outer, self.inner, self.num_kv_heads, self.num_heads)
        acc = exact_matmul(queries, keys.swapaxes(2, 3))
        return (self.rescale.apply(acc).reshape(site.outputs[0].shape),)

    def lower(self, site: Site) -> KernelCall:
        queries, keys = site.inputs
        _, _, asked, length = site.outputs[0].shape
        depth = queries.shape[2] // self.num_heads
        fields = (
            ("outer", self.outer),
            ("inner", self.inner),
            ("queries", asked),
            ("keys", length),
            ("num_heads", self.num_heads),
            ("num_kv_heads", self.num_kv_heads),
            ("head_dim", depth),
            ("shared", self.shared),
            ("query_zero_point", queries.zero_point),
            ("query_signed", queries.dtype.lo < 0),
            ("key_zero_point", keys.zero_point),
            ("key_signed", keys.dtype.lo < 0),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall(
            "ares_attention_scores",
            "attention_scores.h",
            Struct("ares_attention_scores_params", fields),
            scratch=codes_product_scratch(asked, depth, keys),
        )
