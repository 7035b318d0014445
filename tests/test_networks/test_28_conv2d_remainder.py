"""Vector tails (a 7x7 kernel over 3 channels: 147 columns = 4 x 36 + 3) and zero points.

Activations are `ShiftedUint8ActPerTensorFloat`: unsigned codes whose zero point is not 0, so the
convolution's zero padding is not code 0. Weights per channel. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, ShiftedUint8ActPerTensorFloat
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions


class Conv2DRemainderNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat)
        self.mix = QuantConv2d(1, 3, 1, weight_quant=Int8WeightPerChannelFloat)
        self.quant_mix = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat)
        self.conv = QuantConv2d(
            3, 32, 7, stride=2, padding=3, weight_quant=Int8WeightPerChannelFloat
        )
        self.relu = QuantReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.quant_pool = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(32, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_mix(self.mix(self.quant_in(x)))
        x = self.quant_pool(self.pool(self.relu(self.conv(x))))
        return self.fc(self.flatten(x))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(1, 28, 28, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=924_656,
    parameters=5_072,
)
