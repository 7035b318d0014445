"""Linear layers only, all scales powers of two: true ties are common and must round half to even."""

from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    Uint8ActPerTensorFixedPoint,
)
from torch import Tensor, nn

from ares.zoo import digits
from ares.zoo.dimensions import Dimensions


def linear(inputs: int, outputs: int) -> QuantLinear:
    return QuantLinear(
        inputs,
        outputs,
        bias=True,
        weight_quant=Int8WeightPerTensorFixedPoint,
        bias_quant=Int32Bias,
    )


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(
            act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True
        )
        self.flatten = nn.Flatten()
        self.fc1 = linear(784, 256)
        self.relu1 = QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True)
        self.fc2 = linear(256, 128)
        self.relu2 = QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True)
        self.fc3 = linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.flatten(self.quant_in(x))
        x = self.relu1(self.fc1(x))
        x = self.relu2(self.fc2(x))
        return self.fc3(x)


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(28, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(28)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 28, 28),),
    outputs=((1, 10),),
    macs=234_752,
    parameters=235_146,
)
