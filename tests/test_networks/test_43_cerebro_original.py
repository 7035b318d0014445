"""Cerebro: six blocks that attend in turn over 14 channels at each step and over 8 steps of each channel.

Each step's 14 values become one token of 180 features for each channel: 112 tokens, channel-major. Quantised tensors
between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import (
    LayerNorm,
    Linear,
    Permute,
    QuantAlternatingAttention,
    QuantIdentity,
    QuantMean,
    Reshape,
    TransformerBlock,
)
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

CHANNELS, STEPS, DIM = 14, 8, 180


def block(number: int) -> TransformerBlock:
    attention = QuantAlternatingAttention(DIM, 5, CHANNELS, STEPS, block_idx=number)
    return TransformerBlock(DIM, attention=attention, mlp_dim=720)


class CerebroOriginal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.steps_first = Permute(0, 2, 1)
        self.embed = Linear(CHANNELS, CHANNELS * DIM)
        self.quant_embed = QuantIdentity(return_quant_tensor=True)
        self.split = Reshape(STEPS, CHANNELS, DIM)
        self.channels_first = Permute(0, 2, 1, 3)
        self.tokens = Reshape(CHANNELS * STEPS, DIM)
        self.blocks = nn.ModuleList([block(number) for number in range(6)])
        self.norm = LayerNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_embed(self.embed(self.steps_first(self.quant_in(x))))
        x = self.tokens(self.channels_first(self.split(x)))
        for encoder in self.blocks:
            x = encoder(x)
        return self.fc(self.mean(self.quant_norm(self.norm(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(STEPS, CHANNELS, sample).transpose(1, 2).contiguous(),)


# 37,800 + 6 (97,740 + 32,580 + 260,100 + 720) + 360 + 724
DIMENSIONS = Dimensions(
    inputs=((1, 14, 8),),
    outputs=((1, 4),),
    macs=261_556_560,
    parameters=2_385_724,
)
