"""Product of two tensors of codes along their last axes: one exact sum, one rounding.

It is what the two products of attention are, in any arrangement that PyTorch's matmul takes: the kernel is that of the
scores where the summed axis of the second factor lies innermost in memory, that of the context where it does not.
eps: as `ares.ops.conv2d`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ares.ir import CODES, OutputRule, Tensor
from ares.numerics import Rescale, exact_matmul
from ares.ops._matmul import require_factors, turned
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

# Rank 4 as linear layers leave it, tokens outermost: [tokens][heads][features], and its transpose.
_BY_TOKENS: Layout = (0, 2, 1, 3)
_BY_TOKENS_TURNED: Layout = (0, 3, 1, 2)


@dataclass(frozen=True, slots=True, eq=False)
class Matmul(KernelOperation):
    """`out[...,i,j] = rescale(sum over k of (a[...,i,k] - z_a) * (b[...,k,j] - z_b))`

    Two inputs of one rank, 3 or more, with the same sizes before the last two axes, or with ones there in the second.
    Constant factors behind the product, as 1 / sqrt(d), are part of `rescale`.
    """

    OP_TYPE = "OP_MATMUL"
    LAYER_TYPE = "MatMul"
    PYTHON_CLASS = "brevitas.nn.QuantMultiheadAttention"
    EPS = 2.0**-20
    KERNEL = "attention_scores"

    rescale: Rescale

    def infer(self, inputs: Sequence[Tensor]) -> tuple[OutputRule, ...]:
        shape = require_factors(self.name, *inputs)
        require(self.rescale.channels == 1, f"{self.name}: expected one multiplier for the tensor")
        return ((shape, CODES),)

    def accumulator_bound(self, site: Site) -> int:
        first, second = site.inputs
        return first.shape[-1] * first.largest_magnitude * second.largest_magnitude

    def macs(self, site: Site) -> int:
        return site.outputs[0].size * site.inputs[0].shape[-1]

    def layouts(
        self, site: Site, given: tuple[Layout, ...]
    ) -> tuple[tuple[Layout, ...], tuple[Layout, ...]]:
        first, second = site.inputs
        rank = len(first.shape)
        rows = row_major(rank)
        depth, columns = (given[1].index(axis) for axis in (rank - 2, rank - 1))
        # By tokens where the heads lie between the tokens and the features.
        tokens = (
            rank == 4
            and first.shape[1] == second.shape[1] > 1
            and min(depth, columns) < given[1].index(1) < max(depth, columns)
        )
        if depth > columns:
            wanted = (_BY_TOKENS, _BY_TOKENS_TURNED) if tokens else (rows, turned(rows))
            return wanted, (rows,)
        return (rows, _BY_TOKENS if tokens else rows), (_BY_TOKENS if tokens else rows,)

    def reference(self, site: Site, arrays: Sequence[Array]) -> tuple[Array, ...]:
        a, b = (
            array.astype(int) - tensor.zero_point
            for array, tensor in zip(arrays, site.inputs, strict=True)
        )
        acc = exact_matmul(a, b)
        return (self.rescale.apply(acc).reshape(site.outputs[0].shape),)

    def lower(self, site: Site) -> KernelCall:
        (first, second), (_, layout) = site.inputs, site.input_layouts
        *groups, rows, depth = first.shape
        columns = second.shape[-1]
        outer, heads = prod(groups), 1
        if layout in (_BY_TOKENS, _BY_TOKENS_TURNED):
            outer, heads = 1, groups[1]
        elif prod(second.shape[:-2]) < outer:
            outer, rows = 1, outer * rows  # one second factor for all
        summed_innermost = layout.index(len(layout) - 2) > layout.index(len(layout) - 1)
        stem = "attention_scores" if summed_innermost else "attention_context"
        roles = ("query", "key") if summed_innermost else ("weight", "value")
        fields = (
            ("outer", outer),
            ("inner", 1),
            ("queries", rows),
            ("keys", columns if summed_innermost else depth),
            ("num_heads", heads),
            ("num_kv_heads", heads),
            ("head_dim", depth if summed_innermost else columns),
            ("shared", False),
            *_codes(roles[0], first),
            *_codes(roles[1], second),
            ("rescale", rescale_struct(self.rescale)),
        )
        return KernelCall(
            f"ares_{stem}",
            f"{stem}.h",
            Struct(f"ares_{stem}_params", fields),
            scratch=codes_product_scratch(rows, depth, second),
        )


def _codes(role: str, tensor: Tensor) -> tuple[tuple[str, int], ...]:
    """How a kernel reads the bytes of a factor."""
    return (
        (f"{role}_zero_point", tensor.zero_point),
        (f"{role}_signed", tensor.dtype.lo < 0),
    )
