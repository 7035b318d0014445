"""The selective state space alone: dt, B and C from the input, the published recurrence, D x.

Quantised tensors between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import Linear, QuantIdentity, QuantMean, QuantSSM
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

TOKENS, DIM = 16, 32


class MambaSSMTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.ssm = QuantSSM(DIM, d_state=4, dt_rank=2, gate=False)
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mean(self.ssm(self.quant_in(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, DIM, sample),)


# 64 + 96 + 2 * 128 + 128 + 32 + 330; 16 * 384 + 320
DIMENSIONS = Dimensions(
    inputs=((1, 16, 32),),
    outputs=((1, 10),),
    macs=6_464,
    parameters=906,
)
