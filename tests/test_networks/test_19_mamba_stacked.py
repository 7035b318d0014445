"""Three Mamba blocks, one after the other.

Quantised tensors between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import Linear, QuantIdentity, QuantMambaBlock, QuantMean
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

TOKENS, DIM = 16, 32


class MambaStackedTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.block0 = QuantMambaBlock(DIM, d_inner=64, d_state=4, conv_kernel=4)
        self.block1 = QuantMambaBlock(DIM, d_inner=64, d_state=4, conv_kernel=4)
        self.block2 = QuantMambaBlock(DIM, d_inner=64, d_state=4, conv_kernel=4)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mean(self.block2(self.block1(self.block0(self.quant_in(x))))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, DIM, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 16, 32),),
    outputs=((1, 10),),
    macs=344_384,
    parameters=23_178,
)
