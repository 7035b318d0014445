"""44 M multiply-accumulates: depthwise-separable convolutions on 64x64, with stride 2.

Weights per channel, `Int32Bias`. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, Int32Bias
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions


def conv_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    conv = QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=groups,
        weight_quant=Int8WeightPerChannelFloat,
        bias_quant=Int32Bias,
    )
    return [conv, QuantReLU(return_quant_tensor=True)]


def separable(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    depthwise = conv_relu(inputs, inputs, 3, stride, groups=inputs)
    return depthwise + conv_relu(inputs, outputs, 1)


class LargeDepthwiseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.features = nn.Sequential(
            *conv_relu(3, 64, 3),
            *separable(64, 64, stride=1),
            *separable(64, 128, stride=2),
            *separable(128, 256, stride=2),
        )
        self.average = nn.AdaptiveAvgPool2d(1)
        self.quant_average = QuantIdentity(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(256, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.average(self.features(self.quant_in(x)))
        return self.fc(self.flatten(self.quant_average(x)))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(3, 64, 64, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 3, 64, 64),),
    outputs=((1, 10),),
    macs=43_878_912,
    parameters=52_426,
)
