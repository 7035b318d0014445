"""A U-Net: transposed convolutions on one way up, nearest upsampling on the other, skips that are concatenated.

The image's sizes are odd half way down, so that what comes up is padded to the skip, as in the original's successors.
The edges of the image are mirrored in front of the first convolution. Scores of classes leave in binary32. Not trained.
"""

import torch
import torch.nn.functional as F
from brevitas.nn import QuantConv2d, QuantConvTranspose2d, QuantIdentity, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import QuantConcatenate
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

WIDTH, CLASSES = 8, 4


def conv_relu(inputs: int, outputs: int, padding: int = 1) -> nn.Sequential:
    return nn.Sequential(
        QuantConv2d(
            inputs,
            outputs,
            3,
            padding=padding,
            bias=False,
            weight_quant=Int8WeightPerChannelFloat,
        ),
        nn.BatchNorm2d(outputs),
        QuantReLU(return_quant_tensor=True),
    )


class Transposed(nn.Module):
    """Up by a transposed convolution, which learns it."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.up = QuantConvTranspose2d(
            inputs,
            outputs,
            kernel,
            stride=2,
            padding=kernel // 2 - 1,
            weight_quant=Int8WeightPerChannelFloat,
        )
        self.relu = QuantReLU(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.up(x))


class Nearest(nn.Module):
    """Up by repetition, then a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.conv = conv_relu(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.up(x))


class Up(nn.Module):
    """From below, padded to the skip's size, and joined with it."""

    def __init__(self, up: nn.Module, outputs: int) -> None:
        super().__init__()
        self.up = up
        self.join = QuantConcatenate(dim=1)
        self.conv = conv_relu(2 * outputs, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        rows, columns = skip.size(2) - x.size(2), skip.size(3) - x.size(3)
        x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return self.conv(self.join([skip, x]))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.mirror = nn.ReflectionPad2d(1)
        self.down1 = conv_relu(3, WIDTH, padding=0)
        self.pool = nn.MaxPool2d(2)
        self.down2 = conv_relu(WIDTH, 2 * WIDTH)
        self.down3 = conv_relu(2 * WIDTH, 4 * WIDTH)
        self.bottom = conv_relu(4 * WIDTH, 4 * WIDTH)
        self.up3 = Up(Transposed(4 * WIDTH, 4 * WIDTH, 2), 4 * WIDTH)
        self.up2 = Up(Transposed(4 * WIDTH, 2 * WIDTH, 4), 2 * WIDTH)
        self.up1 = Up(Nearest(2 * WIDTH, WIDTH), WIDTH)
        self.classes = QuantConv2d(WIDTH, CLASSES, 1, weight_quant=Int8WeightPerChannelFloat)

    def forward(self, x: Tensor) -> Tensor:
        one = self.down1(self.mirror(self.quant_in(x)))
        two = self.down2(self.pool(one))
        three = self.down3(self.pool(two))
        x = self.bottom(self.pool(three))
        x = self.up1(self.up2(self.up3(x, three), two), one)
        return self.classes(x)


def create_model() -> nn.Module:
    return UNet()


def example_inputs(sample: int = 0) -> tuple[torch.Tensor, ...]:
    return (signals.picture(3, 36, 28, sample),)


# 217,728 + 2 * 290,304 + 110,592 + 49,152 + 516,096 + 4 * 1,161,216 + 32,256; 40,536 + 304 + 12,336 + 36
DIMENSIONS = Dimensions(
    inputs=((1, 3, 36, 28),),
    outputs=((1, 4, 36, 28),),
    macs=6_151_296,
    parameters=53_212,
)
