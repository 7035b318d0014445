"""Odd widths (237, 513) and few bits: weights of 2, 4 and 6 bits, activations of 4.

`Int32Bias` in every hidden layer. Not trained.
"""

from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, Int32Bias
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions


def linear_relu(inputs: int, outputs: int, weight_bits: int, bits: int) -> list[nn.Module]:
    linear = QuantLinear(
        inputs,
        outputs,
        bias=True,
        weight_quant=Int8WeightPerChannelFloat,
        weight_bit_width=weight_bits,
        bias_quant=Int32Bias,
    )
    return [linear, QuantReLU(bit_width=bits, return_quant_tensor=True)]


class AutotuneStressNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            QuantIdentity(return_quant_tensor=True),
            *linear_relu(64, 768, weight_bits=4, bits=8),
            *linear_relu(768, 768, weight_bits=4, bits=8),
            *linear_relu(768, 237, weight_bits=4, bits=4),
            *linear_relu(237, 513, weight_bits=2, bits=8),
            *linear_relu(513, 128, weight_bits=6, bits=8),
            QuantLinear(128, 5, bias=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.vector(64, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 64),),
    outputs=((1, 5),),
    macs=1_008_877,
    parameters=1_011_296,
)
