"""LUNA-Base as published: two patch embeddings, four queries per time patch, eight RoPE blocks, 7.1 M parameters.

The published checkpoint counts 7,101,371 parameters. 16,897 of them are not computed at inference and are not here:
the network that turns electrode positions into a table (64-128-64 with a norm: 16,832; the table is a constant), the
mask token of the pre-training (64) and an unused temperature (1). Quantised tensors between the layers. Not trained.
"""

import torch
from torch import Tensor, nn

from ares.nn import (
    Conv2d,
    FeedForward,
    GroupNorm,
    LayerNorm,
    Linear,
    Permute,
    QuantAdd,
    QuantCrossAttention,
    QuantIdentity,
    QuantRoPESelfAttention,
    QuantSelfAttention,
    Reshape,
    RFFTFeatures,
    Squeeze,
    TransformerBlock,
)
from ares.zoo import philox, signals
from ares.zoo.dimensions import Dimensions

CHANNELS, SAMPLES, PATCH = 22, 1280, 40
STEPS, DIM, WIDE, QUERIES = SAMPLES // PATCH, 64, 256, 4
PATCHES, FILTERS = CHANNELS * STEPS, 16


class TemporalEmbedding(nn.Module):
    """Three convolutions along each patch of 40 samples, each with a norm over all patches and a GELU: 64 features."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures = Reshape(1, PATCHES, PATCH)
        self.conv1 = Conv2d(1, FILTERS, (1, 19), stride=(1, 10), padding=(0, 9))
        self.conv2 = Conv2d(FILTERS, FILTERS, (1, 3), padding=(0, 1))
        self.conv3 = Conv2d(FILTERS, FILTERS, (1, 3), padding=(0, 1))
        for number in (1, 2, 3):
            self.add_module(f"quant{number}", QuantIdentity(return_quant_tensor=True))
            self.add_module(f"norm{number}", GroupNorm(4, FILTERS))
            self.add_module(f"quant_norm{number}", QuantIdentity(return_quant_tensor=True))
            self.add_module(f"gelu{number}", nn.GELU())
            self.add_module(f"quant_gelu{number}", QuantIdentity(return_quant_tensor=True))
        self.features_last = Permute(0, 2, 3, 1)
        self.tokens = Reshape(PATCHES, DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pictures(x)
        x = self.quant_norm1(self.norm1(self.quant1(self.conv1(x))))
        x = self.quant_gelu1(self.gelu1(x))
        x = self.quant_norm2(self.norm2(self.quant2(self.conv2(x))))
        x = self.quant_gelu2(self.gelu2(x))
        x = self.quant_norm3(self.norm3(self.quant3(self.conv3(x))))
        x = self.quant_gelu3(self.gelu3(x))
        return self.tokens(self.features_last(x))


class FrequencyEmbedding(nn.Module):
    """21 magnitudes and 21 phases of each patch, 42-168-64."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = RFFTFeatures(PATCH)
        self.up = Linear(2 * (PATCH // 2 + 1), 168)
        self.gelu = nn.GELU()
        self.quant_up = QuantIdentity(return_quant_tensor=True)
        self.down = Linear(168, DIM)
        self.quant = QuantIdentity(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_up(self.gelu(self.up(self.spectrum(x))))
        return self.quant(self.down(x))


class ChannelPosition(nn.Module):
    """Adds one constant vector per channel to all patches of that channel."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        units = torch.from_numpy(philox.signed_units("luna/positions", CHANNELS * DIM)).float()
        self.register_buffer("table", units.reshape(1, CHANNELS, 1, DIM))
        self.table_quant = QuantIdentity(return_quant_tensor=True)
        self.by_channel = Reshape(CHANNELS, STEPS, DIM)
        self.add = QuantAdd()
        self.by_patch = Reshape(PATCHES, DIM)

    def forward(self, x: Tensor) -> Tensor:
        return self.by_patch(self.add(self.by_channel(x), self.table_quant(self.table)))


class Unification(nn.Module):
    """Four learned queries gather each time patch's 22 channels; then three encoder layers among the four."""

    def __init__(self) -> None:
        super().__init__()
        self.cross = QuantCrossAttention(
            DIM, num_heads=2, num_queries=QUERIES, kv_len=CHANNELS, norm=True, inner=STEPS
        )
        self.mlp = FeedForward(DIM, 4 * DIM, norm=True)
        self.add = QuantAdd()
        self.layers = nn.ModuleList(
            [
                TransformerBlock(
                    DIM,
                    attention=QuantSelfAttention(
                        DIM, num_heads=2, seq_len=QUERIES, pool_sequence="none", outer=STEPS
                    ),
                    mlp_dim=4 * DIM,
                )
                for _ in range(3)
            ]
        )
        self.steps = Reshape(STEPS, QUERIES * DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cross(x)
        x = self.add(x, self.mlp(x))
        for layer in self.layers:
            x = layer(x)
        return self.steps(x)


def block() -> TransformerBlock:
    attention = QuantRoPESelfAttention(WIDE, num_heads=8, seq_len=STEPS, pool_sequence="none")
    return TransformerBlock(WIDE, attention=attention, mlp=FeedForward(WIDE, 4 * WIDE, norm=True))


class LUNAFullTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patches = Reshape(PATCHES, PATCH)
        self.temporal = TemporalEmbedding()
        self.frequency = FrequencyEmbedding()
        self.add = QuantAdd()
        self.position = ChannelPosition()
        self.unify = Unification()
        self.blocks = nn.ModuleList([block() for _ in range(8)])
        self.norm = LayerNorm(WIDE)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)
        self.readout = QuantCrossAttention(WIDE, num_heads=2, num_queries=1, kv_len=STEPS)
        self.squeeze = Squeeze(1)
        self.up = Linear(WIDE, 4 * WIDE)
        self.gelu = nn.GELU()
        self.quant_up = QuantIdentity(return_quant_tensor=True)
        self.fc = Linear(4 * WIDE, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(self.quant_in(x))
        x = self.add(self.temporal(x), self.frequency(x))
        x = self.unify(self.position(x))
        for encoder in self.blocks:
            x = encoder(x)
        x = self.squeeze(self.readout(self.quant_norm(self.norm(x))))
        return self.fc(self.quant_up(self.gelu(self.up(x))))


def create_model() -> nn.Module:
    return LUNAFullTest()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(CHANNELS, SAMPLES, sample)[:, 0],)


# The published 7,101,371 without the 16,897 that inference does not need: see above.
DIMENSIONS = Dimensions(
    inputs=((1, 22, 1280),),
    outputs=((1, 2),),
    macs=253_010_944,
    parameters=7_084_474,
)
