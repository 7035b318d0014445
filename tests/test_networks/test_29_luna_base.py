"""LUNA in small: spectra of 704 patches, channel embedding, 128 learned queries, eight RoPE blocks.

Quantised tensors between the layers. Not trained.
"""

import torch
from torch import Tensor, nn

from ares.nn import (
    GroupNorm,
    LayerNorm,
    Linear,
    Permute,
    QuantAdd,
    QuantCrossAttention,
    QuantIdentity,
    QuantRoPESelfAttention,
    Reshape,
    RFFTFeatures,
    Squeeze,
    TransformerBlock,
)
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

CHANNELS, SAMPLES, PATCH = 22, 1280, 40
STEPS, DIM, WIDE = SAMPLES // PATCH, 64, 256
PATCHES, QUERIES = CHANNELS * STEPS, 128


def block() -> TransformerBlock:
    attention = QuantRoPESelfAttention(WIDE, num_heads=8, seq_len=STEPS, pool_sequence="none")
    return TransformerBlock(WIDE, attention=attention, mlp_dim=1024)


class ChannelEmbedding(nn.Module):
    """Adds one learned vector per channel to all patches of that channel."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, CHANNELS, 1, DIM))
        self.table_quant = QuantIdentity(return_quant_tensor=True)
        self.by_channel = Reshape(CHANNELS, STEPS, DIM)
        self.add = QuantAdd()
        self.by_patch = Reshape(PATCHES, DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.by_patch(self.add(self.by_channel(x), self.table_quant(self.table)))


class LUNABaseTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patches = Reshape(PATCHES, PATCH)
        self.spectrum = RFFTFeatures(PATCH)
        self.up = Linear(2 * (PATCH // 2 + 1), 168)
        self.gelu = nn.GELU()
        self.quant_up = QuantIdentity(return_quant_tensor=True)
        self.down = Linear(168, DIM)
        self.quant_down = QuantIdentity(return_quant_tensor=True)
        self.channels_first = Permute(0, 2, 1)
        self.norm = GroupNorm(4, DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.channels_last = Permute(0, 2, 1)
        self.channel = ChannelEmbedding()
        self.cross = QuantCrossAttention(DIM, num_heads=2, num_queries=QUERIES, kv_len=PATCHES)
        self.steps = Reshape(STEPS, WIDE)
        self.blocks = nn.ModuleList([block() for _ in range(8)])
        self.last_norm = LayerNorm(WIDE)
        self.quant_last = QuantIdentity(return_quant_tensor=True)
        self.readout = QuantCrossAttention(WIDE, num_heads=8, num_queries=1, kv_len=STEPS)
        self.squeeze = Squeeze(1)
        self.fc = Linear(WIDE, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spectrum(self.patches(self.quant_in(x)))
        x = self.quant_down(self.down(self.quant_up(self.gelu(self.up(x)))))
        x = self.quant_norm(self.norm(self.channels_first(x)))
        x = self.steps(self.cross(self.channel(self.channels_last(x))))
        for encoder in self.blocks:
            x = encoder(x)
        x = self.readout(self.quant_last(self.last_norm(x)))
        return self.fc(self.squeeze(x))


def create_model() -> nn.Module:
    return LUNABaseTest()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(CHANNELS, SAMPLES, sample)[:, 0],)


# 18,040 + 128 + 1,408 + (8,192 + 16,640) + 8 * 789,760 + 512 + (256 + 263,168) + 1,285
DIMENSIONS = Dimensions(
    inputs=((1, 22, 1280),),
    outputs=((1, 5),),
    macs=225_005_824,
    parameters=6_627_709,
)
