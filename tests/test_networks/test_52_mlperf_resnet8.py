"""MLPerf Tiny's image classification (mlperf_ic_resnet8): ResNet-8 for pictures of 32x32, to the published dimensions.

Stride 2 is padded as TensorFlow's SAME does it: on one side only. The sum of a block is quantised once, with its
ReLU. BatchNorms are folded, as in what boards get; the projections never had any. Weights per channel. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import ZeroPad2d, fold_batch_norm
from ares.zoo import signals, weights
from ares.zoo.dimensions import Dimensions

CLASSES = 10


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False
) -> list[nn.Module]:
    """SAME: of an even size, a 3x3 of stride 2 needs one more row below and column on the right, a 1x1 nothing."""
    layer = QuantConv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=kernel // 2 if stride == 1 else 0,
        bias=bias,
        weight_quant=Int8WeightPerChannelFloat,
    )
    return [ZeroPad2d((0, 1, 0, 1)), layer] if stride == 2 and kernel == 3 else [layer]


def conv_norm(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [*conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs, eps=1e-3)]


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(inputs, outputs, stride),
            QuantReLU(),
            *conv_norm(outputs, outputs),
            QuantIdentity(),
        )
        self.shortcut = nn.Sequential()
        if inputs != outputs:
            projection = conv(inputs, outputs, 1, stride, bias=True)
            self.shortcut = nn.Sequential(*projection, QuantIdentity())
        self.relu = QuantReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


class MLPerfResNet8(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity()
        self.stem = nn.Sequential(*conv_norm(3, 16), QuantReLU())
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        self.head = nn.Sequential(nn.AvgPool2d(8), QuantIdentity(), nn.Flatten())
        self.fc = QuantLinear(64, CLASSES, bias=True)
        weights.initialise(self, "test_52_mlperf_resnet8")
        fold_batch_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.head(self.blocks(self.stem(self.quant_in(x)))))


def create_model() -> nn.Module:
    return MLPerfResNet8()


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(3, 32, 32, sample),)


def initialise(model: nn.Module) -> None:
    """The constructor has set and folded the weights: nothing is left to do."""


# 442,368; 2 * 2,359,296; 1,179,648 + 2,359,296 + 131,072, and twice the same number again; 640.
# 448; 2 * 2,320; 4,640 + 9,248 + 544; 18,496 + 36,928 + 2,112; 650.
DIMENSIONS = Dimensions(
    inputs=((1, 3, 32, 32),),
    outputs=((1, 10),),
    macs=12_501_632,
    parameters=77_706,
)
