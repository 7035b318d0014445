"""LayerNorm over a whole picture of 784 pixels, then one linear layer.

Weights per tensor, float bias and affine norm, plain tensors between the layers.
"""

from brevitas.nn import QuantIdentity, QuantLinear
from torch import Tensor, nn

from ares.nn import Flatten, LayerNorm
from ares.zoo import digits
from ares.zoo.dimensions import Dimensions


class QuantLayerNormBasic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity()
        self.flatten = Flatten()
        self.norm = LayerNorm(784)
        self.quant_norm = QuantIdentity()
        self.fc = QuantLinear(784, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.quant_norm(self.norm(self.flatten(self.quant_in(x)))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


# LN(784), 784-10
DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=7_840,
    parameters=9_418,
)
# 353 of 364 are right.
ACCURACY = 0.965
