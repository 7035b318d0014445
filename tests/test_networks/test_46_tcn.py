"""A temporal convolutional network: causal dilated convolutions, in both spellings, on digits read column by column.

A convolution sees no later step: by zeros before the codes, or by padding on both sides and cutting off what came
behind (`x[:, :, :-n]`, a chomp), before BatchNorm and quantiser. Residuals; the last step is classified.
"""

from brevitas.nn import QuantConv1d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import QuantAdd
from ares.zoo import digits
from ares.zoo.dimensions import Dimensions

CHANNELS, KERNEL = 24, 3


def conv(
    inputs: int, outputs: int, kernel: int = 1, dilation: int = 1, padding: int = 0
) -> nn.Module:
    return QuantConv1d(
        inputs,
        outputs,
        kernel,
        dilation=dilation,
        padding=padding,
        bias=False,
        weight_quant=Int8WeightPerChannelFloat,
    )


class TemporalBlock(nn.Module):
    def __init__(self, inputs: int, dilation: int) -> None:
        super().__init__()
        self.past = (KERNEL - 1) * dilation
        self.pad = nn.ConstantPad1d((self.past, 0), 0.0)
        self.conv1 = conv(inputs, CHANNELS, KERNEL, dilation)
        self.norm1 = nn.BatchNorm1d(CHANNELS)
        self.relu1 = QuantReLU()
        self.conv2 = conv(CHANNELS, CHANNELS, KERNEL, dilation, self.past)
        self.norm2 = nn.BatchNorm1d(CHANNELS)
        self.quant2 = QuantIdentity()
        self.shortcut = nn.Sequential()
        if inputs != CHANNELS:
            self.shortcut = nn.Sequential(conv(inputs, CHANNELS), QuantIdentity())
        self.add = QuantAdd()
        self.relu = QuantReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu1(self.norm1(self.conv1(self.pad(x))))
        y = self.quant2(self.norm2(self.conv2(y)[:, :, : -self.past]))
        return self.relu(self.add(y, self.shortcut(x)))


class TCN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity()
        self.blocks = nn.Sequential(
            TemporalBlock(28, dilation=1),
            TemporalBlock(CHANNELS, dilation=2),
            TemporalBlock(CHANNELS, dilation=4),
        )
        self.fc = QuantLinear(CHANNELS, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(self.quant_in(x).squeeze(1))[:, :, -1])


def create_model() -> nn.Module:
    return TCN()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=341_616,
    parameters=11_866,
)
