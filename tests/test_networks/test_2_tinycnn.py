"""A 5x5 convolution: the smallest network with a kernel other than 3x3.

Weights per channel, `Int32Bias` (the bias lives in the accumulator's scale).
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, Int32Bias
from torch import Tensor, nn

from ares.zoo import digits
from ares.zoo.dimensions import Dimensions


class TinyCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.conv = QuantConv2d(
            1, 8, 5, padding=2, weight_quant=Int8WeightPerChannelFloat, bias_quant=Int32Bias
        )
        self.relu = QuantReLU(return_quant_tensor=True)
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(1568, 10, bias=True, bias_quant=Int32Bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(self.quant_in(x))))
        return self.fc(self.flatten(x))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=172_480,
    parameters=15_898,
)
