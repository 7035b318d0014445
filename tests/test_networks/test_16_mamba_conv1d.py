"""The convolution of a Mamba block alone: causal, depthwise, kernel 4, followed by SiLU.

Quantised tensors between the layers. Not trained.
"""

from torch import Tensor, nn

from ares.nn import Linear, QuantConv1dDepthwise, QuantIdentity, QuantMean, QuantSiLU
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

CHANNELS, STEPS = 32, 64


class MambaConv1DTest(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.conv = QuantConv1dDepthwise(CHANNELS, kernel_size=4)
        self.silu = QuantSiLU()
        self.mean = QuantMean(dim=2)
        self.fc = Linear(CHANNELS, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.mean(self.silu(self.conv(self.quant_in(x)))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(STEPS, CHANNELS, sample).transpose(1, 2).contiguous(),)


# 32 * 5 + 330; 64 * 32 * 4 + 320
DIMENSIONS = Dimensions(
    inputs=((1, 32, 64),),
    outputs=((1, 10),),
    macs=8_512,
    parameters=490,
)
