"""13 M multiply-accumulates in token-wise linear layers, without biases. Not trained."""

from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions


def linear(outputs: int) -> QuantLinear:
    return QuantLinear(256, outputs, bias=False, weight_quant=Int8WeightPerChannelFloat)


class NE16LargeTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity()
        self.hidden = nn.ModuleList(linear(256) for _ in range(4))
        self.relus = nn.ModuleList(QuantReLU() for _ in range(4))
        self.classifier = linear(10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_in(x)
        for hidden, relu in zip(self.hidden, self.relus, strict=True):
            x = relu(hidden(x))
        return self.classifier(x)


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(49, 256, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 49, 256),),
    outputs=((1, 49, 10),),
    macs=12_970_496,
    parameters=264_704,
)
