"""MLPerf Tiny's streaming wake word (mlperf_sww_dscnn1d): separable convolutions along time, on 30 frames of 40 bands.

Without padding: time shrinks from 30 frames to one. Nothing stands between a depthwise and a pointwise convolution
but a signed quantiser. Already folded, biases are `Int32Bias`, as in what boards get. Weights per channel. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, Int32Bias
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

BANDS, FRAMES, CLASSES = 40, 30, 3


def conv(inputs: int, outputs: int, width: int, groups: int = 1) -> nn.Module:
    return QuantConv2d(
        inputs,
        outputs,
        (1, width),
        groups=groups,
        weight_quant=Int8WeightPerChannelFloat,
        bias_quant=Int32Bias,
    )


def separable(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        conv(inputs, inputs, width, groups=inputs),
        QuantIdentity(return_quant_tensor=True),
        conv(inputs, outputs, 1),
        QuantReLU(return_quant_tensor=True),
    )


class MLPerfWakeWord(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.blocks = nn.Sequential(
            separable(BANDS, 128, 3),
            separable(128, 128, 5),
            separable(128, 128, 10),
            separable(128, 32, 15),
        )
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(32, CLASSES, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flatten(self.blocks(self.quant_in(x))))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(FRAMES, BANDS, sample).transpose(1, 2).unsqueeze(2).contiguous(),)


# Frames that remain: 28, 24, 15, 1. 3,360 + 143,360; 15,360 + 393,216; 19,200 + 245,760; 1,920 + 4,096; 96.
# 160 + 5,248; 768 + 16,512; 1,408 + 16,512; 2,048 + 4,128; 99.
DIMENSIONS = Dimensions(
    inputs=((1, 40, 1, 30),),
    outputs=((1, 3),),
    macs=826_368,
    parameters=46_883,
)
