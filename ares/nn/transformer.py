"""The rest of a transformer around its attention: FeedForward, SwiGLU, TransformerBlock.

All take `act_quant`, the quantiser of all their activations, and `weight_quant`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat
from torch import nn

from ares.nn.activations import QuantSiLU
from ares.nn.attention import QuantSelfAttention
from ares.nn.joins import QuantAdd, QuantMul
from ares.nn.layers import Linear
from ares.nn.quant_tensor import AnyTensor
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity, require_class


class FeedForward(nn.Module):
    """y = quant(down(gelu(up(x)))), token by token; with `norm` a LayerNorm stands behind the GELU.

    Shapes: [..., dim] codes in and out. Quantisers: `hidden` after the GELU, `normed` after the norm, `quant`
    on the result.

    >>> mlp = FeedForward(dim=32, hidden_dim=64)
    >>> mlp(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 8, 32])
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        norm: bool = False,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        weights: dict[str, Any] = {"bit_width": bit_width, "weight_quant": weight_quant}
        self.up = Linear(dim, hidden_dim, **weights)
        self.gelu = nn.GELU()
        self.hidden = default_quant_identity(**steps)
        self.norm = nn.LayerNorm(hidden_dim) if norm else None
        self.normed = default_quant_identity(**steps) if norm else None
        self.down = Linear(hidden_dim, dim, **weights)
        self.quant = default_quant_identity(return_quant_tensor=return_quant_tensor, **steps)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """quant(down(gelu(up(x))))"""
        y = self.hidden(self.gelu(self.up(x)))
        if self.norm is not None and self.normed is not None:
            y = self.normed(self.norm(y))
        return self.quant(self.down(y))


class SwiGLU(nn.Module):
    """y = quant(down(silu(gate(x)) * up(x))), token by token, without biases: Llama's feed-forward part.

    Shapes: [..., dim] codes in and out. Quantisers: `silu.quant`, `up_quant`, `mul.quant` and `quant`.

    >>> mlp = SwiGLU(dim=32, hidden_dim=64)
    >>> mlp(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 8, 32])
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: int,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        weights: dict[str, Any] = {"bit_width": bit_width, "weight_quant": weight_quant}
        self.gate = Linear(dim, hidden_dim, bias=False, **weights)
        self.silu = QuantSiLU(**steps)
        self.up = Linear(dim, hidden_dim, bias=False, **weights)
        self.up_quant = default_quant_identity(**steps)
        self.mul = QuantMul(**steps)
        self.down = Linear(hidden_dim, dim, bias=False, **weights)
        self.quant = default_quant_identity(return_quant_tensor=return_quant_tensor, **steps)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """quant(down(silu(gate(x)) * up(x)))"""
        gated = self.mul(self.silu(self.gate(x)), self.up_quant(self.up(x)))
        return self.quant(self.down(gated))


class TransformerBlock(nn.Module):
    """Pre-norm block: x = add1(x, attn(norm1(x))); y = add2(x, mlp(norm2(x))).

    Shapes: [B, seq_len, embed_dim] codes in and out. `attention` and `mlp` default to `QuantSelfAttention` and
    `FeedForward` (four times as wide, or `mlp_dim`); `norm(embed_dim)` makes both norms. Quantisers besides
    theirs: `quant1` and `quant2` after the norms, `add1.quant` and `add2.quant` on the sums.

    >>> block = TransformerBlock(embed_dim=32, num_heads=4, seq_len=8)
    >>> block(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 8, 32])
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int = 1,
        seq_len: int = 1,
        mlp_dim: int | None = None,
        attention: nn.Module | None = None,
        mlp: nn.Module | None = None,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        steps: dict[str, Any] = {"bit_width": bit_width, "act_quant": act_quant}
        parts: dict[str, Any] = {**steps, "weight_quant": weight_quant}
        self.norm1 = norm(embed_dim)
        self.quant1 = default_quant_identity(**steps)
        self.attn = attention or QuantSelfAttention(
            embed_dim, num_heads, seq_len, pool_sequence="none", **parts
        )
        self.add1 = QuantAdd(**steps)
        self.norm2 = norm(embed_dim)
        self.quant2 = default_quant_identity(**steps)
        self.mlp = mlp or FeedForward(embed_dim, mlp_dim or 4 * embed_dim, **parts)
        self.add2 = QuantAdd(return_quant_tensor=return_quant_tensor, **steps)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """The block's output for tokens x."""
        x = self.add1(x, self.attn(self.quant1(self.norm1(x))))
        return self.add2(x, self.mlp(self.quant2(self.norm2(x))))
