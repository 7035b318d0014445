"""One dimension: a residual network on twelve leads of a heart's signal, as ECG classifiers are built.

Kernels 7, 5, 3 and 1, strides, BatchNorm1d behind every convolution, max and average pooling along time. Weights per
channel. Not trained.
"""

from brevitas.nn import QuantConv1d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import QuantAdd
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

LEADS, SAMPLES = 12, 256


def conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = QuantConv1d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=kernel // 2,
        bias=False,
        weight_quant=Int8WeightPerChannelFloat,
    )
    return [conv, nn.BatchNorm1d(outputs)]


class ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(inputs, outputs, 5, stride),
            QuantReLU(return_quant_tensor=True),
            *conv_norm(outputs, outputs, 3),
            QuantIdentity(return_quant_tensor=True),
        )
        self.shortcut = nn.Sequential()
        if inputs != outputs:
            self.shortcut = nn.Sequential(
                *conv_norm(inputs, outputs, 1, stride), QuantIdentity(return_quant_tensor=True)
            )
        self.add = QuantAdd()
        self.relu = QuantReLU(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.add(self.body(x), self.shortcut(x)))


class ECGResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.stem = nn.Sequential(
            *conv_norm(LEADS, 16, 7, stride=2),
            QuantReLU(return_quant_tensor=True),
            nn.MaxPool1d(3, stride=2, padding=1),
        )
        self.blocks = nn.Sequential(
            ResidualBlock(16, 16, stride=1),
            ResidualBlock(16, 32, stride=2),
            ResidualBlock(32, 48, stride=2),
        )
        self.average = nn.AdaptiveAvgPool1d(1)
        self.quant_average = QuantIdentity(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(48, 5, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(self.quant_in(x)))
        return self.fc(self.flatten(self.quant_average(self.average(x))))


def create_model() -> nn.Module:
    return ECGResNet()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.ppg(LEADS, SAMPLES, sample).flatten(1, 2),)


DIMENSIONS = Dimensions(
    inputs=((1, 12, 256),),
    outputs=((1, 5),),
    macs=758_000,
    parameters=26_485,
)
