"""The published FEMBA-Tiny: expansion 4, 16 states, dt_rank 25, 7.8 million parameters.

Each of the two blocks is x = LayerNorm(x + Mamba(x) + flip(Mamba'(flip x))). Quantised tensors between the
layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import (
    LayerNorm,
    Linear,
    PositionalEmbedding,
    QuantAdd,
    QuantIdentity,
    QuantMambaWrapper,
    QuantMean,
    QuantPatchEmbed,
)
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

CHANNELS, SAMPLES, EMBED = 22, 1280, 35
PATCH = (2, 16)
TOKENS, DIM = SAMPLES // PATCH[1], EMBED * (CHANNELS // PATCH[0])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mamba = QuantMambaWrapper(DIM, d_inner=4 * DIM, d_state=16, dt_rank=25)
        self.add = QuantAdd()
        self.norm = LayerNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.quant_norm(self.norm(self.add(x, self.mamba(x))))


class FEMBATinyInt8(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patches = QuantPatchEmbed((CHANNELS, SAMPLES), PATCH, PATCH, embed_dim=EMBED)
        self.position = PositionalEmbedding(TOKENS, DIM)
        self.block0 = Block()
        self.block1 = Block()
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.position(self.patches(self.quant_in(x)))
        return self.fc(self.mean(self.block1(self.block0(x))))


def create_model() -> nn.Module:
    return FEMBATinyInt8()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(CHANNELS, SAMPLES, sample),)


# 1,155 + 4 * 1,940,400 + 33,112: the published 7.80 M
DIMENSIONS = Dimensions(
    inputs=((1, 1, 22, 1280),),
    outputs=((1, 2),),
    macs=612_551_170,
    parameters=7_795_867,
)
