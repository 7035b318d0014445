"""Size: a 96x96 image, so the first layers do not fit in a small memory at once.

Weights per channel, `Int32Bias`.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, Int32Bias
from torch import Tensor, nn

from ares.zoo import digits
from ares.zoo.dimensions import Dimensions
from ares.zoo.training import Recipe

RECIPE = Recipe(float_epochs=20)


def conv_relu_pool(inputs: int, outputs: int) -> list[nn.Module]:
    conv = QuantConv2d(
        inputs,
        outputs,
        3,
        padding=1,
        weight_quant=Int8WeightPerChannelFloat,
        bias_quant=Int32Bias,
    )
    return [conv, QuantReLU(return_quant_tensor=True), nn.MaxPool2d(2)]


class MultiTileCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.features = nn.Sequential(
            *conv_relu_pool(1, 8), *conv_relu_pool(8, 16), *conv_relu_pool(16, 24), nn.MaxPool2d(2)
        )
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(864, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flatten(self.features(self.quant_in(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (digits.example(96, sample),)


def dataset() -> digits.Dataset:
    return digits.dataset(96)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 96, 96),),
    outputs=((1, 10),),
    macs=5_317_056,
    parameters=13_378,
)
