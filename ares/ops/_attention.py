"""How the tokens of an attention fall into groups and heads: what its operations share.

Tokens of [1, N, D] are numbered n = (o * length + l) * inner + i. Attention runs over l inside each of the
G = outer * inner groups, g = o * inner + i. Plain attention has outer = inner = 1.
"""

from __future__ import annotations

from ares.ir import Tensor
from ares.ops._operation import Array, require, require_codes


def require_tokens(name: str, what: str, tensor: Tensor) -> None:
    """Raise GraphError unless `tensor` holds codes [1, tokens, features]."""
    require_codes(tensor)
    require(
        len(tensor.shape) == 3 and tensor.shape[0] == 1,
        f"{name}: {what} have shape {list(tensor.shape)}, expected [1, tokens, features]",
    )


def require_heads(name: str, num_heads: int, num_kv_heads: int) -> None:
    """Raise GraphError unless every head of keys serves the same number of heads."""
    require(
        1 <= num_kv_heads <= num_heads and num_heads % num_kv_heads == 0,
        f"{name}: {num_heads} heads cannot share {num_kv_heads} heads of keys and values",
    )


def group_length(name: str, tokens: int, outer: int, inner: int) -> int:
    """Tokens of one group; raises GraphError when the groups do not come out even."""
    require(
        min(outer, inner) >= 1 and tokens % (outer * inner) == 0,
        f"{name}: {tokens} tokens do not fall into {outer} x {inner} groups",
    )
    return tokens // (outer * inner)


def by_heads(tokens: Array, outer: int, inner: int, heads: int, served: int) -> Array:
    """[1, N, heads * d] -> [groups, served, length, d]: each head is repeated for the heads that it serves."""
    _, count, features = tokens.shape
    split = tokens.reshape(outer, count // (outer * inner), inner, heads, features // heads)
    grouped = split.transpose(0, 2, 3, 1, 4).reshape(outer * inner, heads, -1, features // heads)
    return grouped.repeat(served // heads, axis=1)


def in_order(groups: Array, outer: int, inner: int) -> Array:
    """[groups, heads, length, d] -> [1, N, heads * d], the inverse of `by_heads`."""
    _, heads, length, depth = groups.shape
    split = groups.reshape(outer, inner, heads, length, depth).transpose(0, 3, 1, 2, 4)
    return split.reshape(1, outer * length * inner, heads * depth)
