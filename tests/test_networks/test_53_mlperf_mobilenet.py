"""MLPerf Tiny's visual wake words (mlperf_vww_mobilenet): MobileNetV1 at a quarter of its width, on 96x96.

Thirteen pairs of depthwise and pointwise convolutions; where a stride is 2 the padding is TensorFlow's SAME, on one
side only. BatchNorms are folded, biases are `Int32Bias`, as in what boards get. Weights per channel. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat, Int32Bias
from torch import Tensor, nn

from ares.nn import ZeroPad2d, fold_batch_norm
from ares.zoo import signals, weights
from ares.zoo.dimensions import Dimensions

STEM, CLASSES = 8, 2
# Stride of the depthwise convolution, and what the pointwise one behind it gives.
PAIRS = (
    *((1, 16), (2, 32), (1, 32), (2, 64), (1, 64), (2, 128)),
    *((1, 128),) * 5,
    *((2, 256), (1, 256)),
)


def conv_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    pad = [ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
    conv = QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=0 if pad else kernel // 2,
        groups=groups,
        bias=False,
        weight_quant=Int8WeightPerChannelFloat,
        bias_quant=Int32Bias,
    )
    norm = nn.BatchNorm2d(outputs, eps=1e-3)
    return [*pad, conv, norm, QuantReLU(return_quant_tensor=True)]


class MLPerfMobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        layers, width = conv_relu(3, STEM, 3, stride=2), STEM
        for stride, outputs in PAIRS:
            layers += conv_relu(width, width, 3, stride, groups=width)
            layers += conv_relu(width, outputs, 1)
            width = outputs
        self.features = nn.Sequential(*layers)
        self.average = nn.AvgPool2d(3)
        self.quant_average = QuantIdentity(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.classifier = QuantLinear(width, CLASSES, bias=True)
        weights.initialise(self, "test_53_mlperf_mobilenet")
        fold_batch_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.average(self.features(self.quant_in(x)))
        return self.classifier(self.flatten(self.quant_average(x)))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(3, 96, 96, sample),)


def initialise(model: nn.Module) -> None:
    """The constructor has set and folded the weights: nothing is left to do."""


# 497,664; pairs of 460,800, 377,856, 755,712, 336,384, 672,768, 315,648, 5 * 631,296, 305,280 and 610,560; 512.
# 224; 224, 704, 1,376, 2,432, 4,800, 8,960, 5 * 17,792, 34,304 and 68,352; 514.
DIMENSIONS = Dimensions(
    inputs=((1, 3, 96, 96),),
    outputs=((1, 2),),
    macs=7_489_664,
    parameters=210_850,
)
