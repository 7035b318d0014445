"""Stride 2, and ReLUs with a signed quantiser (codes 0..127 in an int8).

Weights per channel, float biases.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.zoo import digits
from ares.zoo.dimensions import Dimensions


def conv_relu(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        QuantConv2d(
            inputs,
            outputs,
            3,
            stride=stride,
            padding=1,
            weight_quant=Int8WeightPerChannelFloat,
        ),
        QuantReLU(act_quant=Int8ActPerTensorFloat, return_quant_tensor=True),
    )


class Stride2Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.block1 = conv_relu(1, 16, stride=1)
        self.block2 = conv_relu(16, 32, stride=2)
        self.block3 = conv_relu(32, 32, stride=1)
        self.block4 = conv_relu(32, 16, stride=2)
        self.average = nn.AvgPool2d(7)
        self.quant_average = QuantIdentity(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(16, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block2(self.block1(self.quant_in(x)))
        x = self.average(self.block4(self.block3(x)))
        return self.fc(self.flatten(self.quant_average(x)))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=3_048_352,
    parameters=18_842,
)
