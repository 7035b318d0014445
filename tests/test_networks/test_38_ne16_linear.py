"""Token-wise linear layers with `Int32Bias`: 49 tokens, one result each. Not trained."""

from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int32Bias
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions


class NE16LinearTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.fc1 = QuantLinear(192, 64, bias=True, bias_quant=Int32Bias)
        self.relu1 = QuantReLU(return_quant_tensor=True)
        self.fc2 = QuantLinear(64, 64, bias=True, bias_quant=Int32Bias)
        self.relu2 = QuantReLU(return_quant_tensor=True)
        self.fc3 = QuantLinear(64, 10, bias=True, bias_quant=Int32Bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.fc1(self.quant_in(x)))
        return self.fc3(self.relu2(self.fc2(x)))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(49, 192, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 49, 192),),
    outputs=((1, 49, 10),),
    macs=834_176,
    parameters=17_162,
)
