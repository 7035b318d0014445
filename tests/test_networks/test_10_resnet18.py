"""Depth: ResNet-18 in small (700 k parameters), and a functional `torch.flatten`.

Weights per channel, float biases. The operands of every addition are signed or unsigned codes of
different scales; ReLU follows the addition.
"""

import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import QuantAdd
from ares.zoo import digits
from ares.zoo.dimensions import Dimensions
from ares.zoo.training import Recipe

RECIPE = Recipe(float_epochs=16, quantised_epochs=2)


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> QuantConv2d:
    return QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=kernel // 2,
        weight_quant=Int8WeightPerChannelFloat,
    )


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, stride)
        self.relu1 = QuantReLU(return_quant_tensor=True)
        self.conv2 = conv(outputs, outputs, 3)
        self.quant2 = QuantIdentity(return_quant_tensor=True)
        self.shortcut = nn.Sequential()
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                conv(inputs, outputs, 1, stride), QuantIdentity(return_quant_tensor=True)
            )
        self.add = QuantAdd()
        self.relu2 = QuantReLU(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.quant2(self.conv2(self.relu1(self.conv1(x))))
        return self.relu2(self.add(y, self.shortcut(x)))


def stage(inputs: int, outputs: int, stride: int = 2) -> list[nn.Module]:
    return [BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)]


class ResNet18MNIST(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.stem = conv(1, 16, 3)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.blocks = nn.Sequential(
            *stage(16, 16, stride=1), *stage(16, 32), *stage(32, 64), *stage(64, 128)
        )
        self.average = nn.AdaptiveAvgPool2d(1)
        self.quant_average = QuantIdentity(return_quant_tensor=True)
        self.fc = QuantLinear(128, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.relu(self.stem(self.quant_in(x))))
        return self.fc(torch.flatten(self.quant_average(self.average(x)), 1))


def create_model() -> nn.Module:
    return ResNet18MNIST()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=28_573_184,
    parameters=699_978,
)
