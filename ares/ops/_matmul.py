"""Products of two tensors of codes along their last axes: what their operations share."""

from __future__ import annotations

from ares.ir import Tensor
from ares.ops._operation import Layout, require, require_codes


def require_factors(name: str, first: Tensor, second: Tensor) -> tuple[int, ...]:
    """The shape of the product; raises GraphError for what matmul does not take, or not in this rank."""
    require_codes(first)
    require_codes(second)
    rank = len(first.shape)
    groups, own = first.shape[:-2], second.shape[:-2]
    require(
        rank >= 3
        and rank == len(second.shape)
        and first.shape[-1] == second.shape[-2]
        and (own == groups or set(own) == {1}),
        f"{name}: factors of shapes {list(first.shape)} and {list(second.shape)} do not match; expected "
        "[..., i, k] and [..., k, j] of one rank, at least 3",
    )
    return (*first.shape[:-1], second.shape[-1])


def turned(layout: Layout) -> Layout:
    """The same with its last two axes exchanged: the second factor's, when what is summed lies innermost."""
    return (*layout[:-2], layout[-1], layout[-2])
