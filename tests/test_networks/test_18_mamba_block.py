"""One Mamba block: projection, causal convolution, SiLU, state space, gate, projection.

Quantised tensors between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import Linear, QuantIdentity, QuantMambaBlock, QuantMean
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

TOKENS, DIM = 16, 32


class MambaBlockTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.block = QuantMambaBlock(DIM, d_inner=64, d_state=4, conv_kernel=4)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mean(self.block(self.quant_in(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, DIM, sample),)


# A block: 4,096 + 320 + 128 + 192 + 512 + 256 + 64 + 2,048 = 7,616; 16 * 7,168 multiplications
DIMENSIONS = Dimensions(
    inputs=((1, 16, 32),),
    outputs=((1, 10),),
    macs=115_008,
    parameters=7_946,
)
