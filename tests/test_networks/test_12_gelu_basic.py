"""GELU straight after a linear layer, without a quantiser before it: one operation with one rounding.

Weights per tensor, float biases, plain tensors between the layers.
"""

from brevitas.nn import QuantIdentity, QuantLinear
from torch import Tensor, nn

from ares.nn import GELU, Flatten
from ares.zoo import digits
from ares.zoo.dimensions import Dimensions


class QuantGELUBasic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity()
        self.flatten = Flatten()
        self.fc1 = QuantLinear(784, 64, bias=True)
        self.gelu = GELU()
        self.quant_hidden = QuantIdentity()
        self.fc2 = QuantLinear(64, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(self.flatten(self.quant_in(x)))
        return self.fc2(self.quant_hidden(self.gelu(x)))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=50_816,
    parameters=50_890,
)
