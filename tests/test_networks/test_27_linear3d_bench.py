"""Linear layers on a sequence (400 tokens), GELU straight after a linear, mean over the tokens.

Weights per tensor, float biases, plain tensors between the layers. Not trained.
"""

from brevitas.nn import QuantIdentity, QuantLinear
from torch import Tensor, nn

from ares.nn import QuantMean
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions


class Linear3DBenchQuant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity()
        self.expand = QuantLinear(192, 768, bias=True)
        self.gelu = nn.GELU()
        self.quant_hidden = QuantIdentity()
        self.reduce = QuantLinear(768, 192, bias=True)
        self.quant_tokens = QuantIdentity()
        self.mean = QuantMean(dim=1, return_quant_tensor=False)
        self.classifier = QuantLinear(192, 7, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quant_hidden(self.gelu(self.expand(self.quant_in(x))))
        x = self.quant_tokens(self.reduce(x))
        return self.classifier(self.mean(x))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(400, 192, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 400, 192),),
    outputs=((1, 7),),
    macs=117_966_144,
    parameters=297_223,
)
