"""Pictures all round: columns go on behind the edge, rows and columns in the second layer. Not trained."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions


class Panorama(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.pad1 = nn.CircularPad2d((1, 1, 0, 0))
        self.conv1 = QuantConv2d(1, 4, 3)
        self.relu1 = QuantReLU(return_quant_tensor=True)
        self.pad2 = nn.CircularPad2d((1, 2, 2, 1))
        self.conv2 = QuantConv2d(4, 4, 4, stride=2)
        self.relu2 = QuantReLU(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(4 * 7 * 8, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.conv1(self.pad1(self.quant_in(x))))
        x = self.relu2(self.conv2(self.pad2(x)))
        return self.fc(self.flatten(x))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(1, 16, 16, sample),)


# 40 + 260 + 2,250; 4 * 9 * 14 * 16 + 4 * 64 * 7 * 8 + 2,240
DIMENSIONS = Dimensions(
    inputs=((1, 1, 16, 16),),
    outputs=((1, 10),),
    macs=24_640,
    parameters=2_550,
)
