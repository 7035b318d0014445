"""Few products of small weights: a code is worth few units of the accumulator. Equal scores in front of softmaxes."""

from brevitas.nn import QuantConv2d, QuantIdentity
from brevitas.quant import Int8ActPerTensorFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn

from ares.zoo import signals


class Coarse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(act_quant=Int8ActPerTensorFloat)
        self.conv = QuantConv2d(1, 16, 1, bias=True, weight_bit_width=3)
        self.quant_out = QuantIdentity(act_quant=Int8ActPerTensorFloat)
        self.softmax = nn.Softmax(dim=-1)
        self.probabilities = QuantIdentity(act_quant=Uint8ActPerTensorFloat)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.quant_in(x)
        return self.quant_out(self.conv(x)), self.probabilities(self.softmax(x))


def create_model() -> nn.Module:
    return Coarse()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    x = signals.eeg(12, 196, sample)
    x[0, 0, 0] = 0.0
    x[0, 0, 1, 3] = 6.0
    return (x,)
