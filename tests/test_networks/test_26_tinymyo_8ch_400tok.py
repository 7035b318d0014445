"""TinyMyo on eight channels: 400 tokens, eight blocks, 3.56 million parameters, 1.91 billion multiplications.

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

CHANNELS, SAMPLES, PATCH = 8, 1000, 20
TOKENS, DIM = CHANNELS * (SAMPLES // PATCH), 192


def block() -> TransformerBlock:
    attention = QuantRoPESelfAttention(DIM, num_heads=3, seq_len=TOKENS, pool_sequence="none")
    return TransformerBlock(DIM, attention=attention, mlp_dim=768)


class TinyMyo8Ch400Quant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patch = Conv2d(1, DIM, (1, PATCH), stride=(1, PATCH))
        self.quant_patch = QuantIdentity(return_quant_tensor=True)
        self.tokens = Reshape(DIM, TOKENS)
        self.tokens_last = Permute(0, 2, 1)
        self.blocks = nn.ModuleList([block() for _ in range(8)])
        self.norm = LayerNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_patch(self.patch(self.quant_in(x)))
        x = self.tokens_last(self.tokens(x))
        for encoder in self.blocks:
            x = encoder(x)
        return self.fc(self.mean(self.quant_norm(self.norm(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(CHANNELS, SAMPLES, sample),)


# 4,032 + 8 * 444,864 + 384 + 1,158
DIMENSIONS = Dimensions(
    inputs=((1, 1, 8, 1000),),
    outputs=((1, 6),),
    macs=1_417_114_752,
    parameters=3_564_486,
)
