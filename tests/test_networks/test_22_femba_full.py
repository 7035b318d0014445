"""FEMBA in small with all its parts: position table, residuals, norms.

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

CHANNELS, SAMPLES, EMBED = 10, 32, 35
PATCH = (2, 2)
TOKENS, DIM = SAMPLES // PATCH[1], EMBED * (CHANNELS // PATCH[0])


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mamba = QuantMambaWrapper(DIM, d_inner=256, d_state=4)
        self.add = QuantAdd()
        self.norm = LayerNorm(DIM)
        self.quant_norm = QuantIdentity(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.quant_norm(self.norm(self.add(x, self.mamba(x))))


class FEMBAFullTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patches = QuantPatchEmbed((CHANNELS, SAMPLES), PATCH, PATCH, embed_dim=EMBED)
        self.position = PositionalEmbedding(TOKENS, DIM)
        self.block0 = Block()
        self.block1 = Block()
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.position(self.patches(self.quant_in(x)))
        return self.fc(self.mean(self.block1(self.block0(x))))


def create_model() -> nn.Module:
    return FEMBAFullTest()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(CHANNELS, SAMPLES, sample),)


# test_21's + table 16 * 175 + two LN(175)
DIMENSIONS = Dimensions(
    inputs=((1, 1, 10, 32),),
    outputs=((1, 10),),
    macs=9_171_606,
    parameters=585_019,
)
