"""Convolutions of every kind, on codes of both signs: strided, grouped, depthwise, pointwise, dilated."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, ShiftedUint8ActPerTensorFloat
from torch import Tensor, nn

from ares.zoo import signals


def conv(inputs: int, outputs: int, kernel: int, **more: object) -> nn.Module:
    return QuantConv2d(
        inputs, outputs, kernel, bias=True, weight_quant=Int8WeightPerChannelFloat, **more
    )


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat)
        self.conv1 = conv(3, 20, 3, stride=2, padding=1)
        self.quant1 = QuantIdentity(return_quant_tensor=True)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.conv2 = conv(20, 24, 3, padding=(1, 0), groups=2)
        self.relu2 = QuantReLU(return_quant_tensor=True)
        self.depthwise = conv(24, 24, 3, padding=1, groups=24)
        self.relu3 = QuantReLU(return_quant_tensor=True)
        self.pointwise = conv(24, 18, 1)
        self.quant4 = QuantIdentity(return_quant_tensor=True)
        self.dilated = conv(18, 16, 3, padding=2, dilation=2)
        self.quant5 = QuantIdentity(return_quant_tensor=True)
        self.average = nn.AvgPool2d(2)
        self.quant6 = QuantIdentity(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.fc1 = QuantLinear(64, 18, bias=True, weight_quant=Int8WeightPerChannelFloat)
        self.relu7 = QuantReLU(return_quant_tensor=True)
        self.fc2 = QuantLinear(18, 5, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.quant1(self.conv1(self.quant_in(x))))
        x = self.relu3(self.depthwise(self.relu2(self.conv2(x))))
        x = self.quant5(self.dilated(self.quant4(self.pointwise(x))))
        x = self.flatten(self.quant6(self.average(x)))
        return self.fc2(self.relu7(self.fc1(x)))


def create_model() -> nn.Module:
    return Cnn()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(3, 17, 24, sample),)
