"""Attention: quantised q, k, v, scores, weights, context and output, each tensor named after its member.

Tokens of [B, N, D] are numbered n = (o * seq_len + l) * inner + i: attention runs over l inside each of the
outer * inner groups. Plain attention has outer = inner = 1. Inputs are codes: a QuantTensor, or a Tensor that
left a quantiser.

Every class here also takes `act_quant`, the quantiser of all its activations (its unsigned form on the attention
weights), and `weight_quant`. `use_integer_softmax` is accepted by all of them and changes nothing: the softmax is
quantised here, and integer in the C, either way.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from brevitas.nn import QuantLinear
from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat
from torch import nn

from ares.nn.errors import MappingError
from ares.nn.leaves.attention import AttentionContext, AttentionScores, AttentionWeights, Rotary
from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import (
    DEFAULT_BIT_WIDTH,
    default_quant_identity,
    output_options,
    require_class,
    unsigned,
    weight_options,
)
from ares.nn.reductions import QuantMean
from ares.nn.slices import Slice

POOLINGS: Final = ("mean", "flat", "none")


class QuantSelfAttention(nn.Module):
    """Self-attention: proj(softmax(q k^T / sqrt(head_dim)) v), every step quantised.

    Shapes: x [B, N, D] with N = outer * seq_len * inner gives [B, D] (`pool_sequence` "mean": over the tokens),
    [B, N * D] ("flat") or [B, N, D] ("none"). `causal`: token l sees the tokens 0..l of its group.
    `num_kv_heads` divides num_heads: heads share keys and values. Quantisers: behind `q`, `k`, `v`, `scores`,
    `weights` (unsigned), `context` and `proj`, and `pool.quant` for "mean".

    Raises MappingError, a ValueError, for sizes that do not fit each other, in the constructor and in forward.

    >>> attention = QuantSelfAttention(embed_dim=32, num_heads=4, seq_len=8, pool_sequence="none", causal=True)
    >>> attention(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 8, 32])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int = 1,
        seq_len: int = 1,
        pool_sequence: str = "mean",
        use_integer_softmax: bool = False,
        causal: bool = False,
        num_kv_heads: int | None = None,
        outer: int = 1,
        inner: int = 1,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        head_dim = _head_dim(self, embed_dim, num_heads)
        if pool_sequence not in POOLINGS:
            raise ValueError(f"pool_sequence {pool_sequence!r}, expected one of {list(POOLINGS)}")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        self.head_dim = head_dim
        self.seq_len = seq_len
        self.pool_sequence = pool_sequence
        self.use_integer_softmax = use_integer_softmax
        self.outer = outer
        self.inner = inner
        self.return_quant_tensor = return_quant_tensor
        groups = (num_heads, num_kv_heads, outer, inner)
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        linear: dict[str, Any] = {**steps, "weight_quant": weight_quant}
        self.scores = AttentionScores(*groups, **steps)
        self.q = _linear(embed_dim, embed_dim, **linear)
        self.k = _linear(embed_dim, self.num_kv_heads * head_dim, **linear)
        self.v = _linear(embed_dim, self.num_kv_heads * head_dim, **linear)
        self.weights = AttentionWeights(causal, bit_width, act_quant=unsigned(act_quant))
        self.context = AttentionContext(*groups, **steps)
        pooled = pool_sequence == "mean"
        self.proj = _linear(embed_dim, embed_dim, pooled or return_quant_tensor, **linear)
        self.pool: nn.Module = nn.Identity()
        if pooled:
            self.pool = QuantMean(1, return_quant_tensor=return_quant_tensor, **steps)
        elif pool_sequence == "flat":
            self.pool = nn.Flatten()

    def forward(self, x: AnyTensor) -> AnyTensor:
        """The attention's output, pooled as `pool_sequence` says."""
        _require_tokens(self, x, self.outer * self.seq_len * self.inner, "seq_len", self.seq_len)
        q, k = self.positioned(self.q(x), self.k(x))
        weights = self.weights(self.scores(q, k))
        y: AnyTensor = self.pool(self.proj(self.context(weights, self.v(x))))
        return y

    def positioned(self, q: AnyTensor, k: AnyTensor) -> tuple[AnyTensor, AnyTensor]:
        """Queries and keys with their positions: none here."""
        return q, k

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, seq_len={self.seq_len}"


class QuantMultiHeadAttention(QuantSelfAttention):
    """`QuantSelfAttention` under the name of its many heads: [B, N, D] to [B, D], [B, N * D] or [B, N, D].

    Quantisers: those of its members `q`, `k`, `v`, `scores`, `weights`, `context`, `proj`.

    >>> attention = QuantMultiHeadAttention(embed_dim=32, num_heads=4, seq_len=8)
    >>> attention(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 32])
    """


class QuantMHSA(QuantSelfAttention):
    """`QuantSelfAttention` by another name: [B, N, D] to [B, D], [B, N * D] or [B, N, D].

    Quantisers: those of its members `q`, `k`, `v`, `scores`, `weights`, `context`, `proj`.

    >>> attention = QuantMHSA(embed_dim=32, num_heads=4, seq_len=8, pool_sequence="flat")
    >>> attention(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 256])
    """


class QuantRoPESelfAttention(QuantSelfAttention):
    """Self-attention that knows positions: pairs of features of q and k are rotated by their token's place.

    Shapes [B, N, D] to [B, D], [B, N * D] or [B, N, D], arguments and quantisers of `QuantSelfAttention`, besides
    `rope_base`, and quantisers behind `q_rotated` and `k_rotated`. Pairs are neighbours; with `rope_interleaved` False
    they are (i, i + head_dim / 2), as in Llama's checkpoints. Raises ValueError when embed_dim / num_heads is odd.

    >>> attention = QuantRoPESelfAttention(32, num_heads=4, seq_len=8, pool_sequence="none", num_kv_heads=2)
    >>> attention(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 8, 32])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int = 1,
        seq_len: int = 1,
        pool_sequence: str = "mean",
        use_integer_softmax: bool = False,
        rope_base: float = 10000,
        causal: bool = False,
        num_kv_heads: int | None = None,
        outer: int = 1,
        inner: int = 1,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
        rope_interleaved: bool = True,
    ) -> None:
        super().__init__(
            embed_dim,
            num_heads,
            seq_len,
            pool_sequence,
            use_integer_softmax,
            causal,
            num_kv_heads,
            outer,
            inner,
            bit_width,
            return_quant_tensor,
            act_quant=act_quant,
            weight_quant=weight_quant,
        )
        self.rope_base = rope_base
        turns = (self.head_dim, seq_len, rope_base, outer, inner, bit_width)
        layout: dict[str, Any] = {"act_quant": act_quant, "interleaved": rope_interleaved}
        self.q_rotated = Rotary(*turns, **layout)
        self.k_rotated = Rotary(*turns, **layout)

    def positioned(self, q: AnyTensor, k: AnyTensor) -> tuple[AnyTensor, AnyTensor]:
        """Queries and keys, rotated."""
        return self.q_rotated(q), self.k_rotated(k)


class QuantCrossAttention(nn.Module):
    """Learned queries attend over the input: proj(softmax(q k^T / sqrt(head_dim)) v), every step quantised.

    Shapes: x [B, N, D] gives [B, num_queries, D], or [B, outer * inner * num_queries, D] group by group, N =
    outer * kv_len * inner. `kv_len` None: any N that the groups divide. `norm`: a LayerNorm of its own for queries,
    keys and values, each with a quantiser after it. Quantisers: `queries_quant` on the learned queries, and behind
    `q`, `k`, `v`, `scores`, `weights`, `context` and `proj`. Raises MappingError for sizes that do not fit each other.

    >>> attention = QuantCrossAttention(embed_dim=32, num_heads=4, num_queries=3, kv_len=8)
    >>> attention(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 3, 32])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_queries: int,
        kv_len: int | None = None,
        num_kv_heads: int | None = None,
        outer: int = 1,
        inner: int = 1,
        norm: bool = False,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        use_integer_softmax: bool = False,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        self.head_dim = _head_dim(self, embed_dim, num_heads)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        self.num_queries = num_queries
        self.kv_len = kv_len
        self.outer = outer
        self.inner = inner
        self.norm = norm
        self.use_integer_softmax = use_integer_softmax
        self.return_quant_tensor = return_quant_tensor
        groups = (num_heads, num_kv_heads, outer, inner, True)
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        linear: dict[str, Any] = {**steps, "weight_quant": weight_quant}
        self.queries = nn.Parameter(0.02 * torch.randn(1, num_queries, embed_dim))
        self.queries_quant = default_quant_identity(**steps)
        if norm:
            self.queries_norm = nn.LayerNorm(embed_dim)
            self.queries_norm_quant = default_quant_identity(**steps)
            self.keys_norm = nn.LayerNorm(embed_dim)
            self.keys_norm_quant = default_quant_identity(**steps)
            self.values_norm = nn.LayerNorm(embed_dim)
            self.values_norm_quant = default_quant_identity(**steps)
        self.scores = AttentionScores(*groups, **steps)
        self.q = _linear(embed_dim, embed_dim, **linear)
        self.k = _linear(embed_dim, self.num_kv_heads * self.head_dim, **linear)
        self.v = _linear(embed_dim, self.num_kv_heads * self.head_dim, **linear)
        self.weights = AttentionWeights(bit_width=bit_width, act_quant=unsigned(act_quant))
        self.context = AttentionContext(*groups, **steps)
        self.proj = _linear(embed_dim, embed_dim, return_quant_tensor, **linear)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """[B, groups * num_queries, D]"""
        if self.kv_len is not None:
            _require_tokens(self, x, self.outer * self.kv_len * self.inner, "kv_len", self.kv_len)
        queries = self.queries_quant(self.queries)
        keys = values = x
        if self.norm:
            queries = self.queries_norm_quant(self.queries_norm(value_of(queries)))
            keys = self.keys_norm_quant(self.keys_norm(value_of(x)))
            values = self.values_norm_quant(self.values_norm(value_of(x)))
        weights = self.weights(self.scores(self.q(queries), self.k(keys)))
        return self.proj(self.context(weights, self.v(values)))

    def extra_repr(self) -> str:
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, "
            f"num_queries={self.num_queries}, kv_len={self.kv_len}"
        )


class QuantAlternatingAttention(nn.Module):
    """Attention over the channels at each time (even `block_idx`), or over the times of each channel (odd).

    Shapes: x [B, num_channels * temporal_len, D] with token n = channel * temporal_len + time gives the same. One
    linear layer `qkv` makes queries, keys and values; its quantiser serves all three. The others sit behind
    `scores`, `weights`, `context` and `proj`. Raises ValueError for sizes that do not fit each other.

    >>> attention = QuantAlternatingAttention(32, num_heads=4, num_channels=3, temporal_len=5, block_idx=1)
    >>> attention(default_quant_identity()(torch.randn(1, 15, 32))).shape
    torch.Size([1, 15, 32])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        num_channels: int,
        temporal_len: int,
        block_idx: int = 0,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        use_integer_softmax: bool = False,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        self.head_dim = _head_dim(self, embed_dim, num_heads)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.num_kv_heads = num_heads
        self.num_channels = num_channels
        self.temporal_len = temporal_len
        self.block_idx = block_idx
        self.outer, self.inner = (num_channels, 1) if block_idx % 2 else (1, temporal_len)
        self.use_integer_softmax = use_integer_softmax
        self.return_quant_tensor = return_quant_tensor
        groups = (num_heads, None, self.outer, self.inner)
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        linear: dict[str, Any] = {**steps, "weight_quant": weight_quant}
        self.qkv = _linear(embed_dim, 3 * embed_dim, **linear)
        # Modules, so that the parts bear names.
        self.q, self.k, self.v = (
            Slice(2, part * embed_dim, (part + 1) * embed_dim) for part in range(3)
        )
        self.scores = AttentionScores(*groups, **steps)
        self.weights = AttentionWeights(bit_width=bit_width, act_quant=unsigned(act_quant))
        self.context = AttentionContext(*groups, **steps)
        self.proj = _linear(embed_dim, embed_dim, return_quant_tensor, **linear)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """[B, num_channels * temporal_len, D]"""
        tokens = self.num_channels * self.temporal_len
        _require_tokens(self, x, tokens, "num_channels * temporal_len", tokens)
        qkv = self.qkv(x)
        weights = self.weights(self.scores(self.q(qkv), self.k(qkv)))
        return self.proj(self.context(weights, self.v(qkv)))

    def extra_repr(self) -> str:
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, num_channels={self.num_channels}, "
            f"temporal_len={self.temporal_len}, block_idx={self.block_idx}"
        )


def _head_dim(layer: nn.Module, embed_dim: int, num_heads: int) -> int:
    if num_heads < 1 or embed_dim % num_heads:
        raise MappingError(
            type(layer).__name__,
            f"embed_dim {embed_dim} is not divisible by num_heads {num_heads}",
            "choose a number of heads that divides embed_dim",
        )
    return embed_dim // num_heads


def _require_tokens(layer: nn.Module, x: AnyTensor, tokens: int, name: str, size: int) -> None:
    shape = list(value_of(x).shape)
    if len(shape) != 3 or shape[1] != tokens:
        raise MappingError(
            type(layer).__name__,
            f"input {shape}, expected [batch, {tokens}, features]: {name} is {size}",
            f"give it as many tokens as {name} says, or construct it for the length that there is",
        )


def _linear(
    inputs: int,
    outputs: int,
    return_quant_tensor: bool = True,
    *,
    bit_width: int,
    act_quant: ActQuantType,
    weight_quant: WeightQuantType | None,
) -> QuantLinear:
    """A linear layer that ends with a quantiser, so that its path is the tensor's name."""
    return QuantLinear(
        inputs,
        outputs,
        bias=True,
        **weight_options(weight_quant, bit_width),
        **output_options(act_quant, bit_width),
        return_quant_tensor=return_quant_tensor,
    )
