"""MLPerf Tiny's anomaly detection (mlperf_ad_autoencoder): linear layers from five spectra to 8 numbers and back.

BatchNorms are folded, biases are `Int32Bias`, as in what boards get. Weights per tensor. Not trained.
"""

from itertools import pairwise

from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int32Bias
from torch import Tensor, nn

from ares.nn import fold_batch_norm
from ares.zoo import signals, weights
from ares.zoo.dimensions import Dimensions

FRAMES, BANDS, HIDDEN, CODE = 5, 128, 128, 8
WIDTHS = (FRAMES * BANDS, *(HIDDEN,) * 4, CODE, *(HIDDEN,) * 4)


def linear_relu(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        QuantLinear(inputs, outputs, bias=False, bias_quant=Int32Bias),
        nn.BatchNorm1d(outputs, eps=1e-3),
        QuantReLU(return_quant_tensor=True),
    ]


class MLPerfAutoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        pairs = pairwise(WIDTHS)
        self.layers = nn.Sequential(*(layer for pair in pairs for layer in linear_relu(*pair)))
        self.restored = QuantLinear(HIDDEN, FRAMES * BANDS, bias=True)
        weights.initialise(self, "test_55_mlperf_autoencoder")
        fold_batch_norm(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.restored(self.layers(self.quant_in(x)))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.tokens(FRAMES, BANDS, sample).flatten(1),)


def initialise(model: nn.Module) -> None:
    """The constructor has set and folded the weights: nothing is left to do."""


# 81,920; 3 * 16,384; 1,024; 1,024; 3 * 16,384; 81,920.  82,048; 3 * 16,512; 1,032; 1,152; 3 * 16,512; 82,560.
DIMENSIONS = Dimensions(
    inputs=((1, 640),),
    outputs=((1, 640),),
    macs=264_192,
    parameters=265_864,
)
