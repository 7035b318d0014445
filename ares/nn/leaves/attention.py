"""The steps of attention, each one operation with one quantiser: scores, weights, context, rotation.

Tokens of [B, N, D] are numbered n = (o * length + l) * inner + i. Attention runs over l inside each of the
G = outer * inner groups, g = o * inner + i; plain attention has outer = inner = 1.
"""

from __future__ import annotations

import math

import torch
from brevitas.nn.quant_layer import ActQuantType
from brevitas.quant import Int8ActPerTensorFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn.errors import MappingError
from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity


class AttentionScores(nn.Module):
    """quant(q k^T / sqrt(head_dim)) of every group and head: q, k -> [B, G * num_heads, Tq, Tk], group by group.

    q [B, N, num_heads * head_dim], k [B, N, num_kv_heads * head_dim]; head h asks the head h // (num_heads /
    num_kv_heads) of keys. With `shared_queries` all groups ask the same q, whose batch may be one. Raises
    ValueError for sizes that do not come out even.
    """

    def __init__(
        self,
        num_heads: int,
        num_kv_heads: int | None = None,
        outer: int = 1,
        inner: int = 1,
        shared_queries: bool = False,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = _kv_heads(num_heads, num_kv_heads)
        self.outer = outer
        self.inner = inner
        self.shared_queries = shared_queries
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, q: AnyTensor, k: AnyTensor) -> AnyTensor:
        """quant(q k^T / sqrt(head_dim))"""
        groups = (1, 1) if self.shared_queries else (self.outer, self.inner)
        queries = _grouped(value_of(q), *groups, self.num_heads)
        keys = _grouped(value_of(k), self.outer, self.inner, self.num_kv_heads)
        keys = keys.repeat_interleave(self.num_heads // self.num_kv_heads, dim=2)
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
        return self.quant(scores.flatten(1, 2))

    def extra_repr(self) -> str:
        return _described(self)


class AttentionWeights(nn.Module):
    """quant(softmax(scores)) over the last axis, unsigned; any shape. At most 2048 keys can be mapped.

    `causal`: query i of [..., n, n] sees the keys 0..i only, the others weigh exactly zero.
    """

    def __init__(
        self,
        causal: bool = False,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        act_quant: ActQuantType = Uint8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, scores: AnyTensor) -> AnyTensor:
        """quant(softmax(scores))"""
        x = value_of(scores)
        if self.causal:
            queries, keys = x.shape[-2:]
            if queries != keys:
                raise MappingError(
                    "AttentionWeights",
                    f"causal attention of {queries} queries over {keys} keys",
                    "give it as many queries as keys",
                )
            future = torch.ones(queries, keys, dtype=torch.bool, device=x.device).triu(1)
            x = x.masked_fill(future, -math.inf)
        return self.quant(x.softmax(dim=-1))

    def extra_repr(self) -> str:
        return f"causal={self.causal}"


class AttentionContext(nn.Module):
    """quant(weights v): weights [B, G * num_heads, Tq, Tk], v [B, N, num_kv_heads * head_dim] -> [B, tokens, D].

    D = num_heads * head_dim. The tokens keep their own order; with `shared_queries` they are [B, G * Tq, D], group by
    group. Raises ValueError for sizes that do not come out even.
    """

    def __init__(
        self,
        num_heads: int,
        num_kv_heads: int | None = None,
        outer: int = 1,
        inner: int = 1,
        shared_queries: bool = False,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_kv_heads = _kv_heads(num_heads, num_kv_heads)
        self.outer = outer
        self.inner = inner
        self.shared_queries = shared_queries
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, weights: AnyTensor, v: AnyTensor) -> AnyTensor:
        """quant(weights v)"""
        w = value_of(weights)
        values = _grouped(value_of(v), self.outer, self.inner, self.num_kv_heads)
        values = values.repeat_interleave(self.num_heads // self.num_kv_heads, dim=2)
        context = _split(w, 1, self.outer * self.inner, self.num_heads) @ values
        outer, inner = (self.outer, self.inner)
        if self.shared_queries:
            outer, inner = outer * inner, 1
        # [B, outer, inner, heads, Tq, head_dim] -> [B, outer, Tq, inner, heads, head_dim]
        ordered = _split(context, 1, outer, inner).permute(0, 1, 4, 2, 3, 5)
        return self.quant(ordered.flatten(4, 5).flatten(1, 3))

    def extra_repr(self) -> str:
        return _described(self)


class Rotary(nn.Module):
    """Rotary position embedding of [B, N, heads * head_dim], then quant.

    Pair i of every head is rotated by l * base ** (-2i / head_dim), l being the token's place in its group: features
    (2i, 2i + 1), or (i, i + head_dim / 2) with `interleaved` False, as Llama's checkpoints have it. Groups have at most
    `seq_len` tokens. Raises ValueError for an odd head_dim and longer groups.
    """

    def __init__(
        self,
        head_dim: int,
        seq_len: int,
        base: float = 10000.0,
        outer: int = 1,
        inner: int = 1,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        interleaved: bool = True,
    ) -> None:
        super().__init__()
        if head_dim % 2:
            raise MappingError(
                "Rotary",
                f"rotary embedding rotates pairs: head_dim {head_dim} is odd",
                "choose embed_dim and num_heads so that head_dim is even",
            )
        self.head_dim = head_dim
        self.seq_len = seq_len
        self.base = float(base)
        self.interleaved = interleaved
        self.outer = outer
        self.inner = inner
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """quant(x with every pair rotated)"""
        value = value_of(x)
        length = _length(value, self.outer, self.inner)
        if length > self.seq_len:
            raise MappingError(
                "Rotary",
                f"{length} positions, the rotary embedding was made for {self.seq_len}",
                "construct it with a larger seq_len",
            )
        pairs = torch.arange(0, self.head_dim, 2, dtype=torch.float64, device=value.device)
        speeds = self.base ** (-pairs / self.head_dim)
        places = torch.arange(length, dtype=torch.float64, device=value.device)
        angles = torch.outer(places, speeds)[:, None, None, :]
        cos, sin = angles.cos().to(value.dtype), angles.sin().to(value.dtype)
        axis = -1 if self.interleaved else -2
        sizes = (self.head_dim // 2, 2) if self.interleaved else (2, self.head_dim // 2)
        split = _split(_split(value, 2, -1, *sizes), 1, self.outer, length, self.inner)
        a, b = split.unbind(axis)
        rotated = torch.stack((a * cos - b * sin, a * sin + b * cos), dim=axis)
        return self.quant(rotated.flatten(4, 6).flatten(1, 3))

    def extra_repr(self) -> str:
        layout = "" if self.interleaved else ", interleaved=False"
        return f"head_dim={self.head_dim}, seq_len={self.seq_len}, base={self.base:g}{layout}"


def _kv_heads(num_heads: int, num_kv_heads: int | None) -> int:
    chosen = num_heads if num_kv_heads is None else num_kv_heads
    if not 1 <= chosen <= num_heads or num_heads % chosen:
        raise MappingError(
            "attention",
            f"{num_heads} heads cannot share {chosen} heads of keys and values",
            "choose num_kv_heads that divides num_heads",
        )
    return chosen


def _length(x: Tensor, outer: int, inner: int) -> int:
    if x.dim() != 3 or x.shape[1] % (outer * inner):
        raise MappingError(
            "attention",
            f"shape {list(x.shape)}, expected [batch, tokens, features] with tokens in {outer} x {inner} groups",
            "choose a number of tokens that the groups divide",
        )
    return int(x.shape[1]) // (outer * inner)


def _split(x: Tensor, dim: int, *sizes: int) -> Tensor:
    """`x` with axis `dim` taken apart."""
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


def _grouped(x: Tensor, outer: int, inner: int, heads: int) -> Tensor:
    """[B, N, heads * d] -> [B, groups, heads, length, d]"""
    length = _length(x, outer, inner)
    if x.shape[2] % heads:
        raise MappingError(
            "attention",
            f"{x.shape[2]} features do not fall into {heads} heads",
            "choose a number of heads that divides the features",
        )
    split = _split(_split(x, 2, heads, -1), 1, outer, length, inner)
    return split.permute(0, 1, 3, 4, 2, 5).flatten(1, 2)


def _described(module: AttentionScores | AttentionContext) -> str:
    return (
        f"num_heads={module.num_heads}, num_kv_heads={module.num_kv_heads}, outer={module.outer}, "
        f"inner={module.inner}, shared_queries={module.shared_queries}"
    )
