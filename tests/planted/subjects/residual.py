"""A sum in place, a gate, padding of three kinds, nearest upsampling, a concatenation of two scales, a slice, means."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn import QuantAdd, QuantConcatenate, QuantMean, QuantMul, Slice
from ares.zoo import signals


def conv(inputs: int, outputs: int, kernel: int, **more: object) -> nn.Module:
    return QuantConv2d(inputs, outputs, kernel, weight_quant=Int8WeightPerChannelFloat, **more)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.stem = conv(4, 16, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.conv = conv(16, 16, 3, padding=1, bias=True)
        self.quant_conv = QuantIdentity(return_quant_tensor=True)
        self.add = QuantAdd()
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.quant_squeeze = QuantIdentity(return_quant_tensor=True)
        self.excite = conv(16, 16, 1, bias=True)
        self.sigmoid = nn.Hardsigmoid()
        self.gate = QuantIdentity(act_quant=Uint8ActPerTensorFloat)
        self.mul = QuantMul()
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.zeros = nn.ZeroPad2d((1, 2, 0, 1))
        self.pool = nn.MaxPool2d(2)
        self.mirror = nn.ReflectionPad2d((1, 0, 0, 0))
        self.concat = QuantConcatenate(dim=1)
        self.slice = Slice(1, 4, 22)
        self.mean = QuantMean(dim=3)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(162, 6, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(self.quant_in(x))))
        x = self.add(x, self.quant_conv(self.conv(x)))
        gate = self.gate(self.sigmoid(self.excite(self.quant_squeeze(self.squeeze(x)))))
        y = self.pool(self.zeros(self.up(self.mul(x, gate))))
        y = self.slice(self.concat([y, self.mirror(x)]))
        return self.fc(self.flatten(self.mean(y)))


def create_model() -> nn.Module:
    return Residual()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(4, 9, 11, sample),)
