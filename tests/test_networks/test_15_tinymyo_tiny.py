"""A small transformer on five channels of muscle signals: patches of 20 samples, RoPE along 50 tokens.

Weights per channel, float biases, quantised tensors between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import (
    Conv2d,
    LayerNorm,
    Linear,
    Permute,
    QuantIdentity,
    QuantMean,
    QuantRoPESelfAttention,
    Reshape,
    TransformerBlock,
)
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

CHANNELS, SAMPLES, PATCH = 5, 200, 20
TOKENS, DIM = CHANNELS * (SAMPLES // PATCH), 192


def block() -> TransformerBlock:
    attention = QuantRoPESelfAttention(DIM, num_heads=3, seq_len=TOKENS, pool_sequence="none")
    return TransformerBlock(DIM, attention=attention, mlp_dim=768)


class TinyMyoTinyQuant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patch = Conv2d(1, DIM, (1, PATCH), stride=(1, PATCH))
        self.quant_patch = QuantIdentity(return_quant_tensor=True)
        self.tokens = Reshape(DIM, TOKENS)
        self.tokens_last = Permute(0, 2, 1)
        self.block0 = block()
        self.norm = LayerNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_patch(self.patch(self.quant_in(x)))
        x = self.tokens_last(self.tokens(x))
        x = self.block0(x)
        return self.fc(self.mean(self.quant_norm(self.norm(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(CHANNELS, SAMPLES, sample),)


# 4,032 + (768 + 148,224 + 295,872) + 384 + 1,351; 50 (3,840 + 442,368) + 1,344
DIMENSIONS = Dimensions(
    inputs=((1, 1, 5, 200),),
    outputs=((1, 7),),
    macs=22_311_744,
    parameters=450_631,
)
