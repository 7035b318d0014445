"""Two inputs (EEG and PPG) with branches of their own, one-sided padding, BatchNorm folded.

The BatchNorms have statistics as after a training. The constructor sets all weights and folds, so the
class holds only layers that ARES maps. Weights per channel; folding gives float biases. Not trained.
"""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from ares.nn import QuantConcatenate, fold_batch_norm
from ares.zoo import signals, weights
from ares.zoo.dimensions import Dimensions


def conv(inputs: int, outputs: int, kernel: tuple[int, int]) -> list[nn.Module]:
    """An even kernel with one-sided padding, which keeps the size: (1, 2) for 4, (7, 8) for 16."""
    top, left = (kernel[0] - 1) // 2, (kernel[1] - 1) // 2
    bottom, right = kernel[0] // 2, kernel[1] // 2
    return [
        nn.ZeroPad2d((left, right, top, bottom)),
        QuantConv2d(inputs, outputs, kernel, bias=False, weight_quant=Int8WeightPerChannelFloat),
        nn.BatchNorm2d(outputs),
        QuantReLU(return_quant_tensor=True),
    ]


def average(window: tuple[int, int]) -> list[nn.Module]:
    return [nn.AvgPool2d(window), QuantIdentity(return_quant_tensor=True), nn.Flatten()]


class DrowsinessFusionNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.eeg = nn.Sequential(
            QuantIdentity(return_quant_tensor=True),
            *conv(1, 4, (1, 4)), nn.MaxPool2d((1, 8)),
            *conv(4, 16, (1, 16)), nn.MaxPool2d((1, 4)),
            *conv(16, 16, (1, 8)), nn.MaxPool2d((1, 4)),
            *conv(16, 16, (16, 1)), nn.MaxPool2d((4, 1)),
            *conv(16, 16, (8, 1)),
            *average((2, 17)),
        )  # fmt: skip
        self.ppg = nn.Sequential(
            QuantIdentity(return_quant_tensor=True),
            *conv(1, 4, (1, 4)), nn.MaxPool2d((1, 4)),
            *conv(4, 8, (1, 4)), nn.MaxPool2d((1, 4)),
            *conv(8, 16, (1, 4)), nn.MaxPool2d((1, 4)),
            *conv(16, 32, (1, 8)),
            *conv(32, 32, (1, 16)),
            *average((2, 34)),
        )  # fmt: skip
        self.concat = QuantConcatenate(dim=1)
        self.classifier = QuantLinear(48, 2, bias=True)
        weights.initialise(self, "test_36_drowsiness_fusion")
        fold_batch_norm(self)

    def forward(self, eeg: Tensor, ppg: Tensor) -> Tensor:
        return self.classifier(self.concat([self.eeg(eeg), self.ppg(ppg)]))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return signals.eeg(8, 2200, sample), signals.ppg(2, 2200, sample)


def initialise(model: nn.Module) -> None:
    """The constructor has set and folded the weights: nothing is left to do."""


DIMENSIONS = Dimensions(
    inputs=((1, 1, 8, 2200), (1, 1, 2, 2200)),
    outputs=((1, 2),),
    macs=6_019_424,
    parameters=30_626,
)
