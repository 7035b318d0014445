"""Brevitas' own attention behind a class token and a table of positions: its scores go to softmax as they are."""

import brevitas.nn as qnn
import torch
from brevitas.quant import Int8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn import QuantAdd, QuantIdentity
from ares.zoo import signals

TOKENS, DIM, HEADS = 9, 18, 2


class Table(nn.Module):
    """Trained tokens that do not depend on the input."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, tokens, DIM))

    def forward(self) -> Tensor:
        return self.table


class Vit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.embed = qnn.QuantLinear(12, DIM, bias=True)
        self.cls_token = Table(1)
        self.quant_tokens = QuantIdentity()
        self.position = Table(1 + TOKENS)
        self.quant_position = QuantIdentity()
        self.add = QuantAdd()
        self.norm1 = nn.LayerNorm(DIM)
        self.attention = qnn.QuantMultiheadAttention(
            DIM, HEADS, batch_first=True, out_proj_output_quant=Int8ActPerTensorFloat
        )
        self.add1 = QuantAdd()
        self.norm2 = nn.LayerNorm(DIM)
        self.quant2 = QuantIdentity(return_quant_tensor=True)
        self.up = qnn.QuantLinear(DIM, 36, bias=True)
        self.gelu = nn.GELU()
        self.quant_up = QuantIdentity()
        self.head = qnn.QuantLinear(36, 5, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embed(self.quant_in(x))
        tokens = torch.cat([self.cls_token().expand(x.shape[0], -1, -1), embedded], dim=1)
        x = self.add(self.quant_tokens(tokens), self.quant_position(self.position()))
        y = self.norm1(x)
        x = self.add1(x, self.attention(y, y, y, need_weights=False)[0])
        x = self.quant_up(self.gelu(self.up(self.quant2(self.norm2(x)))))
        logits: Tensor = self.head(x[:, 0])
        return logits


def create_model() -> nn.Module:
    return Vit()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, 12, sample),)
