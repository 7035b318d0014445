"""Token ids, an embedding and places, attention over the tokens of two groups, LayerNorm; two outputs.

Codes have zero points.
"""

import torch
from brevitas.quant import ShiftedUint8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn import (
    Embedding,
    LayerNorm,
    Linear,
    PositionalEmbedding,
    QuantAdd,
    QuantIdentity,
    QuantMean,
    QuantSelfAttention,
)

TOKENS, DIM, WORDS = 8, 16, 23


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = Embedding(WORDS, DIM)
        self.quant_words = QuantIdentity(return_quant_tensor=True)
        self.places = PositionalEmbedding(TOKENS, DIM, act_quant=ShiftedUint8ActPerTensorFloat)
        self.norm = LayerNorm(DIM)
        self.quant_norm = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat)
        self.attention = QuantSelfAttention(
            DIM,
            num_heads=2,
            seq_len=4,
            pool_sequence="none",
            inner=2,
            act_quant=ShiftedUint8ActPerTensorFloat,
        )
        self.add = QuantAdd(act_quant=ShiftedUint8ActPerTensorFloat)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 3)
        self.other = Linear(DIM, 2)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        x = self.places(self.quant_words(self.embedding(ids)))
        y = self.attention(self.quant_norm(self.norm(x)))
        x = self.add(x, y)
        return self.fc(self.mean(x)), self.other(x)


def create_model() -> nn.Module:
    return Text()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (torch.arange(sample, TOKENS + sample).mul(7).remainder(WORDS).reshape(1, TOKENS),)
