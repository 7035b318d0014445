"""FEMBA in small: patches of a picture of signals, two bidirectional Mamba blocks, no residuals.

Quantised tensors between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import Linear, QuantIdentity, QuantMambaWrapper, QuantMean, QuantPatchEmbed
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

CHANNELS, SAMPLES, EMBED = 10, 32, 35
DIM = EMBED * CHANNELS // 2


class FEMBAPatchEmbedderTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.patches = QuantPatchEmbed((CHANNELS, SAMPLES), (2, 2), (2, 2), embed_dim=EMBED)
        self.mamba0 = QuantMambaWrapper(DIM, d_inner=256, d_state=4)
        self.mamba1 = QuantMambaWrapper(DIM, d_inner=256, d_state=4)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(self.quant_in(x))
        return self.fc(self.mean(self.mamba1(self.mamba0(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(CHANNELS, SAMPLES, sample),)


# 175 + 4 * 144,896 + 1,760
DIMENSIONS = Dimensions(
    inputs=((1, 1, 10, 32),),
    outputs=((1, 10),),
    macs=9_171_606,
    parameters=581_519,
)
