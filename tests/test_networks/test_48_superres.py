"""Super-resolution by sub-pixels: nine channels for each one of the picture three times as large, then PixelShuffle.

The edge is repeated in front of the first convolution. What the network adds is the difference from the picture
upsampled bilinearly, by a factor that is no power of two. Weights of 4 bits in the middle. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import QuantAdd
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

FACTOR, WIDTH = 3, 16


def conv(inputs: int, outputs: int, kernel: int, padding: int, bits: int = 8) -> nn.Module:
    return QuantConv2d(
        inputs,
        outputs,
        kernel,
        padding=padding,
        weight_quant=Int8WeightPerChannelFloat,
        weight_bit_width=bits,
    )


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = conv(WIDTH, WIDTH, 3, 1, bits=4)
        self.act = nn.LeakyReLU(0.2)
        self.quant1 = QuantIdentity(return_quant_tensor=True)
        self.conv2 = conv(WIDTH, WIDTH, 3, 1, bits=4)
        self.quant2 = QuantIdentity(return_quant_tensor=True)
        self.add = QuantAdd()

    def forward(self, x: Tensor) -> Tensor:
        y = self.quant1(self.act(self.conv1(x)))
        return self.add(x, self.quant2(self.conv2(y)))


class SuperResolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.repeat = nn.ReplicationPad2d(2)
        self.head = conv(3, WIDTH, 5, 0)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.body = nn.Sequential(Residual(), Residual())
        self.pixels = conv(WIDTH, 3 * FACTOR**2, 3, 1)
        self.shuffle = nn.PixelShuffle(FACTOR)
        self.quant_pixels = QuantIdentity(return_quant_tensor=True)
        self.up = nn.Upsample(scale_factor=FACTOR, mode="bilinear")
        self.quant_up = QuantIdentity(return_quant_tensor=True)
        self.add = QuantAdd(return_quant_tensor=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_in(x)
        y = self.body(self.relu(self.head(self.repeat(x))))
        y = self.quant_pixels(self.shuffle(self.pixels(y)))
        return self.add(self.quant_up(self.up(x)), y)


def create_model() -> nn.Module:
    return SuperResolution()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(3, 18, 22, sample),)


# 475,200 + 4 * 912,384 + 1,539,648; 1,216 + 4 * 2,320 + 3,915
DIMENSIONS = Dimensions(
    inputs=((1, 3, 18, 22),),
    outputs=((1, 3, 54, 66),),
    macs=5_664_384,
    parameters=14_411,
)
