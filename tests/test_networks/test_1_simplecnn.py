"""Baseline: two 3x3 convolutions, max pooling, one linear layer. Brevitas' defaults throughout.

Weights per tensor, float biases, unsigned ReLUs, QuantTensors passed on.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import Tensor, nn

from ares.zoo import digits
from ares.zoo.dimensions import Dimensions


class SimpleCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.conv1 = QuantConv2d(1, 16, 3, padding=1)
        self.relu1 = QuantReLU(bit_width=8, return_quant_tensor=True)
        self.pool1 = nn.MaxPool2d(2)
        self.conv2 = QuantConv2d(16, 32, 3, padding=1)
        self.relu2 = QuantReLU(bit_width=8, return_quant_tensor=True)
        self.pool2 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(1568, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_in(x)
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        return self.fc(self.flatten(x))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=1_031_744,
    parameters=20_490,
)
