"""LayerNorm over a whole picture of 784 pixels, then one linear layer.

Weights per tensor, float bias and affine norm, plain tensors between the layers.
"""

from brevitas.nn import QuantIdentity, QuantLinear
from torch import Tensor, nn

from ares.nn import Flatten, LayerNorm
from ares.zoo import digits


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
