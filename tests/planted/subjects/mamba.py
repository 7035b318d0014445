"""A Mamba block that reads the tokens backwards, and a sum with what comes out turned round again."""

from torch import Tensor, nn

from ares.nn import Flip, Linear, QuantAdd, QuantIdentity, QuantMambaBlock, QuantMean
from ares.zoo import signals

TOKENS, DIM = 16, 32


class Mamba(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.flip = Flip(1)
        self.block = QuantMambaBlock(DIM, d_inner=64, d_state=5)
        self.unflip = Flip(1)
        self.add = QuantAdd()
        self.mean = QuantMean(dim=1)
        self.fc = Linear(DIM, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_in(x)
        return self.fc(self.mean(self.add(x, self.unflip(self.block(self.flip(x))))))


def create_model() -> nn.Module:
    return Mamba()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(TOKENS, DIM, sample),)
