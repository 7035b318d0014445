"""MobileNetV3: inverted residuals with depthwise convolutions, squeeze and excitation, hard-swish and hard-sigmoid.

The block as published: 1x1 up, depthwise, squeeze and excitation, 1x1 down, and a sum where sizes allow. The squeeze is
an average over the image, the excitation multiplies channels by a gate in [0, 1]. It ends in Brevitas' TruncAvgPool2d,
which sums codes and cuts bits off, in place of an average and a quantiser. BatchNorms stay as they are. Not trained.
"""

import torch
import torch.nn.functional as F
from brevitas.inject.defaults import TruncTo8bit
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU, TruncAvgPool2d
from brevitas.quant import Int8WeightPerChannelFloat, Uint8ActPerTensorFloat
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

CLASSES = 10


class HardSwish(nn.Module):
    """Its values begin at -3/8: the quantiser is a signed one."""

    def __init__(self) -> None:
        super().__init__()
        self.swish = nn.Hardswish()
        self.quant = QuantIdentity(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.quant(self.swish(x))


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    layer = QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=groups,
        bias=False,
        weight_quant=Int8WeightPerChannelFloat,
    )
    return [layer, nn.BatchNorm2d(outputs)]


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.quant_pool = QuantIdentity(return_quant_tensor=True)
        self.reduce = QuantConv2d(channels, squeezed, 1)
        self.relu = QuantReLU()
        self.expand = QuantConv2d(squeezed, channels, 1)
        self.gate = nn.Hardsigmoid()
        self.quant_gate = QuantIdentity(act_quant=Uint8ActPerTensorFloat)
        self.quant = QuantIdentity(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(self.relu(self.reduce(self.quant_pool(self.pool(x)))))
        return self.quant(self.quant_gate(self.gate(gate)) * x)


class InvertedResidual(nn.Module):
    def __init__(
        self,
        inputs: int,
        expanded: int,
        outputs: int,
        kernel: int,
        stride: int,
        squeeze: int,
        swish: bool,
    ) -> None:
        super().__init__()
        layers = [*conv(inputs, expanded, 1), self._activation(swish)]
        layers += [*conv(expanded, expanded, kernel, stride, expanded), self._activation(swish)]
        if squeeze:
            layers.append(SqueezeExcite(expanded, squeeze))
        self.layers = nn.Sequential(*layers, *conv(expanded, outputs, 1))
        self.quant = QuantIdentity()
        self.quant_sum = None
        if stride == 1 and inputs == outputs:
            self.quant_sum = QuantIdentity()

    @staticmethod
    def _activation(swish: bool) -> nn.Module:
        return HardSwish() if swish else QuantReLU(return_quant_tensor=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.quant(self.layers(x))
        return y if self.quant_sum is None else self.quant_sum(x + y)


class MobileNetV3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.stem = nn.Sequential(*conv(3, 8, 3, 2), HardSwish())
        self.blocks = nn.Sequential(
            InvertedResidual(8, 16, 8, 3, 1, 0, swish=False),
            InvertedResidual(8, 24, 12, 3, 2, 0, swish=False),
            InvertedResidual(12, 40, 12, 3, 1, 0, swish=False),
            InvertedResidual(12, 48, 16, 5, 2, 24, swish=True),
            InvertedResidual(16, 64, 16, 5, 1, 32, swish=True),
        )
        self.head = nn.Sequential(*conv(16, 64, 1), QuantReLU(return_quant_tensor=True))
        # 4 rows of 6 codes of 8 bits: sums of 13 bits, of which five are cut off.
        self.pool = TruncAvgPool2d((4, 6), trunc_quant=TruncTo8bit)
        self.hidden = QuantLinear(64, 48, bias=True)
        self.swish = HardSwish()
        self.classifier = QuantLinear(48, CLASSES, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.blocks(self.stem(self.quant_in(x))))
        x = torch.flatten(self.pool(x), 1)
        return self.classifier(self.swish(self.hidden(F.dropout(x, 0.2, self.training))))


def create_model() -> nn.Module:
    return MobileNetV3()


def example_inputs(sample: int = 0) -> tuple[torch.Tensor, ...]:
    return (signals.picture(3, 32, 48, sample),)


# 82,944; blocks of 153,600, 122,112, 126,720, 104,832 and 91,648; 24,576; 3,072; 480.
# 232; 480, 816, 1,504, 5,144 and 8,128; 1,152; 3,120; 490.
DIMENSIONS = Dimensions(
    inputs=((1, 3, 32, 48),),
    outputs=((1, 10),),
    macs=709_984,
    parameters=21_066,
)
