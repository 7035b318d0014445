"""Depthwise-separable convolutions: groups = channels, then 1x1. Weights per channel."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.zoo import digits
from ares.zoo.dimensions import Dimensions


def conv_relu(inputs: int, outputs: int, kernel: int, groups: int = 1) -> list[nn.Module]:
    conv = QuantConv2d(
        inputs,
        outputs,
        kernel,
        padding=kernel // 2,
        groups=groups,
        weight_quant=Int8WeightPerChannelFloat,
    )
    return [conv, QuantReLU(return_quant_tensor=True)]


class DepthwiseConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            QuantIdentity(return_quant_tensor=True),
            *conv_relu(1, 16, 3),
            nn.MaxPool2d(2),
            *conv_relu(16, 16, 3, groups=16),
            *conv_relu(16, 32, 1),
            nn.MaxPool2d(2),
            *conv_relu(32, 32, 3, groups=32),
            *conv_relu(32, 64, 1),
            nn.AdaptiveAvgPool2d(1),
            QuantIdentity(return_quant_tensor=True),
        )
        self.flatten = nn.Flatten()
        self.classifier = QuantLinear(64, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.features(x)))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=356_576,
    parameters=3_946,
)
