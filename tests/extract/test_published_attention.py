"""Attention of published models as their files have it, with quantisers put where `ares check` asks for them."""

from __future__ import annotations

import math
from typing import Any

import brevitas.quant as bq
import torch
import torch.nn.functional as F
from torch import nn

from ares.nn import QuantIdentity
from tests.extract.models import checked, kinds, linear, plain_identity, seeded


def _weights() -> nn.Module:
    return plain_identity(act_quant=bq.Uint8ActPerTensorFloat)


def _rotate_half(x: Any) -> Any:
    x1 = x[..., : x.shape[-1] // 2]
    x2 = x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


def _repeat_kv(x: Any, n_rep: int) -> Any:
    batch, kv_heads, length, depth = x.shape
    x = x[:, :, None, :, :].expand(batch, kv_heads, n_rep, length, depth)
    return x.reshape(batch, kv_heads * n_rep, length, depth)


class Llama(nn.Module):
    """Grouped queries, rotary embeddings of halves, a causal mask that is added."""

    def __init__(self, dim: int = 24, heads: int = 6, kv_heads: int = 2) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.x = plain_identity()
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        self.q_norm = plain_identity()
        self.q_proj = linear(dim, dim, bias=False)
        self.k_proj = linear(dim, kv_heads * self.head_dim, bias=False)
        self.v_proj = linear(dim, kv_heads * self.head_dim, bias=False)
        self.quant_q, self.quant_k, self.quant_v = (plain_identity() for _ in range(3))
        self.rotated_q, self.rotated_k = plain_identity(), plain_identity()
        self.weights, self.context = _weights(), plain_identity()
        self.o_proj = linear(dim, dim, bias=False)
        self.out = QuantIdentity(return_quant_tensor=True)
        speeds = 1.0 / (100.0 ** (torch.arange(0, self.head_dim, 2).float() / self.head_dim))
        self.register_buffer("inv_freq", speeds, persistent=False)

    def forward(self, x: torch.Tensor) -> Any:
        batch, length, _ = x.shape
        y = self.q_norm(self.norm(self.x(x)))
        q = self.quant_q(self.q_proj(y)).view(batch, length, self.heads, -1).transpose(1, 2)
        k = self.quant_k(self.k_proj(y)).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        v = self.quant_v(self.v_proj(y)).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        positions = torch.arange(length, dtype=self.inv_freq.dtype)
        freqs = torch.outer(positions, self.inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)[None, None]
        cos, sin = emb.cos(), emb.sin()
        q = self.rotated_q((q * cos) + (_rotate_half(q) * sin))
        k = self.rotated_k((k * cos) + (_rotate_half(k) * sin))
        k = _repeat_kv(k, self.heads // self.kv_heads)
        v = _repeat_kv(v, self.heads // self.kv_heads)
        scores = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(self.head_dim)
        mask = torch.full((length, length), float("-inf"), dtype=scores.dtype).triu(1)
        scores = scores + mask[None, None, :, :]
        context = torch.matmul(self.weights(F.softmax(scores, dim=-1)), v)
        context = context.transpose(1, 2).contiguous().reshape(batch, length, -1)
        return self.out(self.o_proj(self.context(context)))


def test_llama() -> None:
    graph = checked(seeded(Llama), (1, 9, 24), c=True)
    found = [kind for kind in kinds(graph) if kind in ("rotary", "matmul_softmax", "matmul")]
    assert found == ["rotary", "rotary", "matmul_softmax", "matmul"]


class GPT(nn.Module):
    """One projection, split; a buffer of ones below the diagonal."""

    def __init__(self, dim: int = 12, heads: int = 3, block_size: int = 16) -> None:
        super().__init__()
        self.n_head, self.n_embd = heads, dim
        self.x = plain_identity()
        self.c_attn, self.c_proj = linear(dim, 3 * dim), linear(dim, dim)
        self.quant_qkv, self.weights, self.context = plain_identity(), _weights(), plain_identity()
        self.attn_dropout = nn.Dropout(0.1)
        self.out = QuantIdentity(return_quant_tensor=True)
        ones = torch.tril(torch.ones(block_size, block_size))
        self.register_buffer("bias", ones.view(1, 1, block_size, block_size))

    def forward(self, x: torch.Tensor) -> Any:
        B, T, C = x.size()
        q, k, v = self.quant_qkv(self.c_attn(self.x(x))).split(self.n_embd, dim=2)
        k = k.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        q = q.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        v = v.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        att = self.attn_dropout(self.weights(F.softmax(att, dim=-1)))
        y = (att @ v).transpose(1, 2).contiguous().view(B, T, C)
        return self.out(self.c_proj(self.context(y)))


def test_gpt() -> None:
    graph = checked(seeded(GPT), (1, 7, 12), c=True)
    assert kinds(graph).count("matmul_softmax") == 1


class Swin(nn.Module):
    """Windows that are shifted, a bias for relative positions, a mask between windows."""

    def __init__(self, dim: int = 12, heads: int = 3, size: int = 2) -> None:
        super().__init__()
        self.heads, self.size, self.scale = heads, size, (dim // heads) ** -0.5
        self.x = plain_identity()
        self.qkv, self.proj = linear(dim, 3 * dim), linear(dim, dim)
        self.quant_qkv, self.quant_scores, self.quant_bias = (plain_identity() for _ in range(3))
        self.quant_sum, self.weights, self.context = plain_identity(), _weights(), plain_identity()
        self.quant_proj = plain_identity()
        self.out = QuantIdentity(return_quant_tensor=True)
        self.table = nn.Parameter(torch.randn((2 * size - 1) ** 2, heads) / 4)
        grid = torch.stack(torch.meshgrid([torch.arange(size)] * 2, indexing="ij")).flatten(1)
        away = (grid[:, :, None] - grid[:, None, :]).permute(1, 2, 0) + size - 1
        self.register_buffer("index", away[:, :, 0] * (2 * size - 1) + away[:, :, 1])
        regions = torch.arange(6).reshape(6, 1).repeat_interleave(size * size, 1) // 2
        regions[:, ::2] += 1
        apart = (regions.unsqueeze(1) - regions.unsqueeze(2)).float()
        self.register_buffer("mask", apart.masked_fill(apart != 0, -100.0))

    def forward(self, x: torch.Tensor) -> Any:
        B, H, W, C = x.shape
        s, n = self.size, self.size**2
        x = torch.roll(self.x(x), shifts=(-1, -1), dims=(1, 2))
        x = x.view(B, H // s, s, W // s, s, C).permute(0, 1, 3, 2, 4, 5).contiguous()
        x = x.view(-1, n, C)
        qkv = self.qkv(x).reshape(-1, n, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        qkv = self.quant_qkv(qkv)
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = self.quant_scores(q @ k.transpose(-2, -1) * self.scale)
        bias = self.table[self.index.view(-1)].view(n, n, -1).permute(2, 0, 1).contiguous()
        scores = self.quant_sum(scores + self.quant_bias(bias.unsqueeze(0)))
        windows = self.mask.shape[0]
        scores = scores.view(-1, windows, self.heads, n, n) + self.mask.unsqueeze(1).unsqueeze(0)
        weights = self.weights(scores.view(-1, self.heads, n, n).softmax(-1))
        x = self.context((weights @ v).transpose(1, 2).reshape(-1, n, C))
        x = self.quant_proj(self.proj(x)).view(-1, s, s, C)
        x = x.view(B, H // s, W // s, s, s, C).permute(0, 1, 3, 2, 4, 5).contiguous()
        x = x.view(B, H, W, C)
        return self.out(torch.roll(x, shifts=(1, 1), dims=(1, 2)))


def test_swin() -> None:
    checked(seeded(Swin), (1, 4, 6, 12), c=True)
