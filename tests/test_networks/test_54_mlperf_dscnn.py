"""MLPerf Tiny's keyword spotting (mlperf_kws_dscnn): depthwise-separable convolutions on 49 frames of 10 coefficients.

The first convolution is as tall as it is published, 10x4 with stride 2, and padded as TensorFlow's SAME does it: 4 rows
before and 5 after. BatchNorms are folded, as in what boards get. Weights per channel. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import ZeroPad2d, fold_batch_norm
from ares.zoo import signals, weights
from ares.zoo.dimensions import Dimensions

FRAMES, COEFFICIENTS, WIDTH, WORDS = 49, 10, 64, 12


def norm_relu() -> list[nn.Module]:
    return [nn.BatchNorm2d(WIDTH, eps=1e-3), QuantReLU(return_quant_tensor=True)]


def separable() -> list[nn.Module]:
    """Depthwise 3x3, then 1x1, each with BatchNorm and ReLU."""
    depthwise = QuantConv2d(
        WIDTH,
        WIDTH,
        3,
        padding=1,
        groups=WIDTH,
        bias=False,
        weight_quant=Int8WeightPerChannelFloat,
    )
    pointwise = QuantConv2d(WIDTH, WIDTH, 1, bias=False, weight_quant=Int8WeightPerChannelFloat)
    return [depthwise, *norm_relu(), pointwise, *norm_relu()]


class MLPerfDSCNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.stem = nn.Sequential(
            ZeroPad2d((1, 1, 4, 5)),
            QuantConv2d(
                1, WIDTH, (10, 4), stride=2, bias=False, weight_quant=Int8WeightPerChannelFloat
            ),
            *norm_relu(),
        )
        self.blocks = nn.Sequential(*separable(), *separable(), *separable(), *separable())
        self.average = nn.AvgPool2d((25, 5))
        self.quant_average = QuantIdentity(return_quant_tensor=True)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(WIDTH, WORDS, bias=True)
        weights.initialise(self, "test_54_mlperf_dscnn")
        fold_batch_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.average(self.blocks(self.stem(self.quant_in(x))))
        return self.fc(self.flatten(self.quant_average(x)))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(FRAMES, COEFFICIENTS, sample).unsqueeze(1),)


def initialise(model: nn.Module) -> None:
    """The constructor has set and folded the weights: nothing is left to do."""


# 320,000; 4 * (72,000 + 512,000); 768.  2,624; 4 * (640 + 4,160); 780.
DIMENSIONS = Dimensions(
    inputs=((1, 1, 49, 10),),
    outputs=((1, 12),),
    macs=2_656_768,
    parameters=22_604,
)
