"""A Mamba block in each direction along the tokens, their outputs added.

Quantised tensors between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import Linear, QuantIdentity, QuantMambaWrapper, QuantMean
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

TOKENS, DIM = 16, 32


class BidirectionalMambaTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.mamba = QuantMambaWrapper(
            DIM, d_inner=64, d_state=4, conv_kernel=4, bidirectional_strategy="add"
        )
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mean(self.mamba(self.quant_in(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, DIM, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 16, 32),),
    outputs=((1, 10),),
    macs=229_696,
    parameters=15_562,
)
