"""1x1 convolutions (matrix products over pixels) between a 3x3 and a global average pool."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import Tensor, nn

from ares.zoo import digits
from ares.zoo.dimensions import Dimensions
from ares.zoo.training import Recipe

RECIPE = Recipe(float_epochs=100, float_rate=1e-2)


class BottleneckNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity()
        self.conv1 = QuantConv2d(1, 32, 3, padding=1)
        self.relu1 = QuantReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.expand = QuantConv2d(32, 64, 1)
        self.relu2 = QuantReLU()
        self.reduce = QuantConv2d(64, 32, 1)
        self.relu3 = QuantReLU()
        self.pool2 = nn.MaxPool2d(2)
        self.average = nn.AdaptiveAvgPool2d((1, 1))
        self.quant_average = QuantIdentity()
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(32, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.relu1(self.conv1(self.quant_in(x))))
        x = self.relu3(self.reduce(self.relu2(self.expand(x))))
        x = self.quant_average(self.average(self.pool2(x)))
        return self.fc(self.flatten(x))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=1_028_928,
    parameters=4_842,
)
# It sees five or six pixels and then averages over the image.
ACCURACY = 0.92
