"""QuantAdd of an unsigned (default QuantReLU) and a signed operand; global average pool.

No biases in the convolutions; plain tensors between the layers (return_quant_tensor=False).
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import Tensor, nn

from ares.nn import GlobalAvgPool, QuantAdd
from ares.zoo import digits
from ares.zoo.dimensions import Dimensions
from ares.zoo.training import Recipe

RECIPE = Recipe(float_epochs=150, float_rate=1e-2)


class ResNetBasic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(bit_width=8)
        self.conv1 = QuantConv2d(1, 16, 3, padding=1, bias=False)
        self.relu1 = QuantReLU()
        self.conv2 = QuantConv2d(16, 16, 3, padding=1, bias=False)
        self.quant2 = QuantIdentity(bit_width=8)
        self.add = QuantAdd(return_quant_tensor=False)
        self.relu2 = QuantReLU()
        self.pool = GlobalAvgPool()
        self.quant_pool = QuantIdentity(bit_width=8)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(16, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.conv1(self.quant_in(x)))
        x = self.relu2(self.add(x, self.quant2(self.conv2(x))))
        return self.fc(self.flatten(self.quant_pool(self.pool(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=1_919_392,
    parameters=2_618,
)
# It sees five or six pixels and then averages over the image.
ACCURACY = 0.88
