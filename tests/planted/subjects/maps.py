"""Up by a transposed convolution and by interpolation, repeated edges, sub-pixels; ends in binary32."""

from brevitas.nn import QuantConv2d, QuantConvTranspose2d, QuantIdentity, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, ShiftedUint8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn import QuantAdd
from ares.zoo import signals


class Maps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        weights = {"weight_quant": Int8WeightPerChannelFloat, "bias": True}
        self.quant_in = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat)
        self.repeat = nn.ReplicationPad2d((2, 1, 1, 2))
        self.conv = QuantConv2d(3, 16, (4, 4), **weights)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.transposed = QuantConvTranspose2d(16, 8, 4, stride=2, padding=1, **weights)
        self.quant_transposed = QuantIdentity(return_quant_tensor=True)
        self.pixels = QuantConv2d(16, 32, 1, **weights)
        self.shuffle = nn.PixelShuffle(2)
        self.quant_pixels = QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat)
        self.add = QuantAdd()
        self.up = nn.Upsample(scale_factor=3, mode="bilinear")
        self.quant_up = QuantIdentity(return_quant_tensor=True)
        self.classes = QuantConv2d(8, 3, 3, stride=3, padding=1, **weights)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv(self.repeat(self.quant_in(x))))
        y = self.quant_pixels(self.shuffle(self.pixels(x)))
        x = self.add(self.quant_transposed(self.transposed(x)), y)
        return self.classes(self.quant_up(self.up(x)))


def create_model() -> nn.Module:
    return Maps()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(3, 6, 7, sample),)
