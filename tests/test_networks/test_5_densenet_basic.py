"""Concatenation of two tensors with different scales, an average and a max pool.

Weights per channel, float biases, plain tensors between the layers.
"""

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat

from ares.nn import AvgPool2d, Flatten, MaxPool2d, QuantConcatenate
from ares.zoo import digits
from ares.zoo.dimensions import Dimensions


def conv(inputs: int, outputs: int) -> QuantConv2d:
    return QuantConv2d(inputs, outputs, 3, padding=1, weight_quant=Int8WeightPerChannelFloat)


class DenseNetBasic(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity()
        self.conv1 = conv(1, 8)
        self.relu1 = QuantReLU()
        self.conv2 = conv(8, 8)
        self.relu2 = QuantReLU()
        self.concat = QuantConcatenate(dim=1, return_quant_tensor=False)
        self.avg_pool = AvgPool2d(2)
        self.quant_pool = QuantIdentity()
        self.conv3 = conv(16, 16)
        self.relu3 = QuantReLU()
        self.max_pool = MaxPool2d(2)
        self.flatten = Flatten()
        self.fc = QuantLinear(784, 10, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.relu1(self.conv1(self.quant_in(x)))
        second = self.relu2(self.conv2(first))
        x = self.quant_pool(self.avg_pool(self.concat([first, second])))
        x = self.max_pool(self.relu3(self.conv3(x)))
        return self.fc(self.flatten(x))


def example_inputs(sample: int = 0) -> tuple[torch.Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=967_456,
    parameters=10_834,
)
