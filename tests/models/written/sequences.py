"""Tokens: attention in the ways that people write it, mixers, a Llama block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from brevitas.quant import Uint8ActPerTensorFloat
from torch import Tensor, nn

from tests.models.written.parts import Network, quant, quants


class Mixer(nn.Module):
    """MLP-Mixer: linear layers over tokens, then over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant_norm1, self.quant_gelu1, self.quant_tokens, self.sum1 = quants(5)
        self.quant_norm2, self.quant_gelu2, self.quant_channels, self.sum2, self.quant_mean = (
            quants(5)
        )
        self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
        self.tokens = nn.ModuleList(
            qnn.QuantLinear(a, b, bias=True) for a, b in ((16, 32), (32, 16))
        )
        self.channels = nn.ModuleList(
            qnn.QuantLinear(a, b, bias=True) for a, b in ((12, 24), (24, 12))
        )
        self.gelu = nn.GELU()
        self.head = qnn.QuantLinear(12, 5, bias=True)

    def forward(self, x: Any) -> Any:
        x = self.quant(x)
        y = self.quant_norm1(self.norm1(x)).transpose(1, 2)
        y = self.tokens[1](self.quant_gelu1(self.gelu(self.tokens[0](y))))
        x = self.sum1(x + self.quant_tokens(y).transpose(1, 2))
        y = self.channels[0](self.quant_norm2(self.norm2(x)))
        y = self.quant_channels(self.channels[1](self.quant_gelu2(self.gelu(y))))
        x = self.sum2(x + y)
        return self.head(self.quant_mean(x.mean(dim=1)))


class VisionTransformer(nn.Module):
    """A pre-norm block with Brevitas' own attention and a table of positions."""

    def __init__(self, batch_first: bool = True, packed: bool = True) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.quant, self.quant_table, self.sum, self.quant_attention, self.sum2 = quants(5)
        self.positions = nn.Parameter(0.1 * torch.randn(1, 9, 16))
        self.norm, self.quant_norm = nn.LayerNorm(16), quant()
        self.attention = qnn.QuantMultiheadAttention(
            16, 4, batch_first=batch_first, packed_in_proj=packed
        )
        self.head = qnn.QuantLinear(16, 3, bias=True)

    def forward(self, x: Any) -> Any:
        x = self.sum(self.quant(x) + self.quant_table(self.positions))
        y = self.norm(x)
        y = self.quant_norm(y if self.batch_first else y.transpose(0, 1))
        y, _ = self.attention(y, y, y)
        y = self.quant_attention(y if self.batch_first else y.transpose(0, 1))
        return self.head(self.sum2(x + y)[:, 0])


class PackedAttention(nn.Module):
    """timm's way: one projection, reshaped to five dimensions, taken apart by number."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant_qkv, self.quant_scores, self.quant_context = quants(4)
        self.qkv = qnn.QuantLinear(8, 24, bias=True)
        self.softmax = nn.Softmax(dim=-1)
        self.quant_weights = qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat)
        self.out = qnn.QuantLinear(8, 8, bias=True)

    def forward(self, x: Any) -> Any:
        batch, tokens, width = x.shape
        qkv = self.quant_qkv(self.qkv(self.quant(x)))
        qkv = qkv.reshape(batch, tokens, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        scores = self.quant_scores((q @ k.transpose(-2, -1)) * (width // 2) ** -0.5)
        weights = self.quant_weights(self.softmax(scores))
        y = (weights @ v).transpose(1, 2).reshape(batch, tokens, width)
        return self.out(self.quant_context(y))


class AttentionPooling(nn.Module):
    """A softmax over time weighs the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant_scores, self.quant_context = quants(3)
        self.scores = qnn.QuantLinear(8, 1, bias=True)
        self.quant_weights = qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat)
        self.head = qnn.QuantLinear(8, 2, bias=True)

    def forward(self, x: Any) -> Any:
        x = self.quant(x)
        weights = torch.softmax(self.quant_scores(self.scores(x)), dim=1)
        context = torch.bmm(self.quant_weights(weights).transpose(1, 2), x).squeeze(1)
        return self.head(self.quant_context(context))


class LlamaBlock(nn.Module):
    """Causal attention written out, with the rotary embedding of Hugging Face's checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.sum, self.quant_out = quants(3)
        self.quant_q, self.quant_k, self.quant_v, self.rotated_q, self.rotated_k = quants(5)
        self.quant_scores, self.quant_weights, self.quant_context = quants(3)
        self.q, self.k, self.v, self.o = (qnn.QuantLinear(8, 8, bias=False) for _ in range(4))
        inverse = 1.0 / 100.0 ** (torch.arange(0, 4, 2).float() / 4)
        angles = torch.outer(torch.arange(7).float(), inverse)
        table = torch.cat([angles, angles], -1)
        self.register_buffer("cos", table.cos())
        self.register_buffer("sin", table.sin())
        self.register_buffer("mask", torch.full((7, 7), -math.inf).triu(1))

    def rotate(self, x: Any) -> Any:
        half = torch.cat((-x[..., 2:], x[..., :2]), dim=-1)
        return x * self.cos + half * self.sin

    def forward(self, x: Any) -> Any:
        x = self.quant(x)
        heads = [
            quantizer(layer(x)).view(-1, 7, 2, 4).transpose(1, 2)
            for layer, quantizer in (
                (self.q, self.quant_q),
                (self.k, self.quant_k),
                (self.v, self.quant_v),
            )
        ]
        q, k = self.rotated_q(self.rotate(heads[0])), self.rotated_k(self.rotate(heads[1]))
        scores = self.quant_scores(torch.matmul(q, k.transpose(2, 3)) / math.sqrt(4))
        weights = self.quant_weights(F.softmax(scores + self.mask, dim=-1))
        y = self.quant_context(torch.matmul(weights, heads[2]))
        y = self.quant_out(self.o(y.transpose(1, 2).reshape(-1, 7, 8)))
        return self.sum(x + y)


class ConvNext(nn.Module):
    """A depthwise 7x7, LayerNorm over channels last, and a learned factor for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.quant_depth, self.quant_norm, self.quant_gelu = quants(4)
        self.quant_branch, self.sum = quants(2)
        self.depth = qnn.QuantConv2d(8, 8, 7, padding=3, groups=8)
        self.norm, self.gelu = nn.LayerNorm(8, eps=1e-6), nn.GELU()
        self.wide, self.narrow = (qnn.QuantLinear(a, b, bias=True) for a, b in ((8, 32), (32, 8)))
        self.gamma = nn.Parameter(torch.full((8,), 0.3))

    def forward(self, x: Tensor) -> Any:
        x = self.quant(x)
        y = self.quant_norm(self.norm(self.quant_depth(self.depth(x)).permute(0, 2, 3, 1)))
        y = self.narrow(self.quant_gelu(self.gelu(self.wide(y))))
        return self.sum(x + self.quant_branch(self.gamma * y).permute(0, 3, 1, 2))


NETWORKS: Mapping[str, Network] = {
    "mixer": (Mixer, (16, 12)),
    "vision_transformer": (VisionTransformer, (9, 16)),
    "vision_transformer_separate": (partial(VisionTransformer, packed=False), (9, 16)),
    "vision_transformer_sequence_first": (partial(VisionTransformer, batch_first=False), (9, 16)),
    "packed_attention": (PackedAttention, (10, 8)),
    "attention_pooling": (AttentionPooling, (12, 8)),
    "llama_block": (LlamaBlock, (7, 8)),
    "convnext": (ConvNext, (8, 14, 14)),
}
