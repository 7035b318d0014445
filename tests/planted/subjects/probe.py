"""Powers of two for scales, so that there are ties; an odd zero point, unequal padding, averages of signed codes."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    ShiftedUint8ActPerTensorFixedPoint,
)
from torch import Tensor, nn

from ares.nn import QuantAdd
from ares.zoo import signals


class Probe(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        weights = {"weight_quant": Int8WeightPerTensorFixedPoint}
        self.quant_in = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFixedPoint)
        # With this stride, padding (0, 1) would give the same sizes as (1, 0).
        self.conv = QuantConv2d(1, 6, 3, stride=4, padding=(1, 0), **weights)
        self.quant_conv = QuantIdentity(act_quant=Int8ActPerTensorFixedPoint)
        self.average = nn.AvgPool2d(2)
        self.quant_average = QuantIdentity(act_quant=Int8ActPerTensorFixedPoint)
        self.pairs = nn.AvgPool2d((2, 1))
        self.quant_pairs = QuantIdentity(act_quant=Int8ActPerTensorFixedPoint)
        self.other = nn.MaxPool2d((2, 1))
        self.add = QuantAdd(act_quant=Int8ActPerTensorFixedPoint)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(72, 5, bias=True, **weights)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_conv(self.conv(self.quant_in(x)))
        x = self.quant_average(self.average(x))
        x = self.add(self.quant_pairs(self.pairs(x)), self.other(x))
        return self.fc(self.flatten(x))


def create_model() -> nn.Module:
    return Probe()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(32, 48, sample),)
