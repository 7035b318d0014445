"""Signals along one axis: causal dilated convolutions, BatchNorm on codes, poolings, a flip, a sigmoid."""

from brevitas.nn import QuantConv1d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn import Flip, QuantAdd
from ares.zoo import signals


class Series(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        weights = {"weight_quant": Int8WeightPerChannelFloat}
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.past = nn.ConstantPad1d((4, 0), 0.0)
        self.conv1 = QuantConv1d(10, 16, 3, dilation=2, bias=True, **weights)
        self.quant1 = QuantIdentity(return_quant_tensor=True)
        self.norm = nn.BatchNorm1d(16)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.pool = nn.MaxPool1d(3, 2, padding=1)
        self.flip = Flip(2)
        self.conv2 = QuantConv1d(16, 16, 3, padding=1, bias=True, **weights)
        self.quant2 = QuantIdentity(return_quant_tensor=True)
        self.add = QuantAdd()
        self.shares = nn.AdaptiveAvgPool1d(5)
        self.quant_shares = QuantIdentity(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(80, 7, bias=True, **weights)
        self.sigmoid = nn.Sigmoid()
        self.quant_out = QuantIdentity(act_quant=Uint8ActPerTensorFloat)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant1(self.conv1(self.past(self.quant_in(x))))
        x = self.pool(self.relu(self.norm(x)))
        x = self.add(self.flip(x), self.quant2(self.conv2(x)))
        x = self.flatten(self.quant_shares(self.shares(x)))
        return self.quant_out(self.sigmoid(self.fc(x)))


def create_model() -> nn.Module:
    return Series()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(24, 10, sample).transpose(1, 2).contiguous(),)
