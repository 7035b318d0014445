"""A detector: one backbone, three heads, the last convolutions of two of them without a quantiser.

Scores of classes (as maps) and boxes (a row for each anchor, as the decoder wants them) leave in binary32, BatchNorm
and stride of the boxes included; the objectness leaves in codes, behind a sigmoid. Weights per channel. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantReLU, QuantSigmoid
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import QuantAdd
from ares.zoo import signals
from ares.zoo.dimensions import Dimensions

CLASSES, ANCHORS, STRIDE = 4, 3, 8


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Module:
    return QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=groups,
        bias=bias,
        weight_quant=Int8WeightPerChannelFloat,
    )


def conv_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    layer = conv(inputs, outputs, kernel, stride, groups)
    return [layer, nn.BatchNorm2d(outputs), QuantReLU(return_quant_tensor=True)]


def head(channels: int, outputs: int) -> list[nn.Module]:
    """A depthwise convolution, then the one that is the head's result."""
    return [
        *conv_relu(channels, channels, 3, groups=channels),
        conv(channels, outputs, 1, bias=True),
    ]


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.backbone = nn.Sequential(*conv_relu(3, 8, 3, stride=2), *conv_relu(8, 16, 3, stride=2))
        self.down = nn.Sequential(*conv_relu(16, 32, 3, stride=2))
        self.residual = nn.Sequential(
            *conv_relu(32, 32, 3),
            conv(32, 32, 3),
            nn.BatchNorm2d(32),
            QuantIdentity(return_quant_tensor=True),
        )
        self.add = QuantAdd()
        self.classes = nn.Sequential(*head(32, CLASSES))
        self.boxes = nn.Sequential(*head(32, 4 * ANCHORS), nn.BatchNorm2d(4 * ANCHORS))
        self.objectness = nn.Sequential(*head(32, ANCHORS), QuantSigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.down(self.backbone(self.quant_in(x)))
        x = self.add(self.residual(x), x)
        boxes = self.boxes(x) * STRIDE
        rows = boxes.permute(0, 2, 3, 1).reshape(boxes.shape[0], -1, 4)
        return self.classes(x), rows, self.objectness(x)


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(3, 64, 64, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 3, 64, 64),),
    outputs=((1, 4, 8, 8), (1, 192, 4), (1, 3, 8, 8)),
    macs=2_084_864,
    parameters=26_355,
)
