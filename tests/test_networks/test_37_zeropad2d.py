"""ZeroPad2d, one-sided; all scales powers of two, `Int32Bias`: ties in a convolution. Not trained."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    Uint8ActPerTensorFixedPoint,
)
from torch import Tensor, nn

from ares.zoo import signals
from ares.zoo.dimensions import Dimensions


def quant_identity() -> QuantIdentity:
    return QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True)


def conv_relu(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ZeroPad2d(((width - 1) // 2, width // 2, 0, 0)),
        QuantConv2d(
            inputs,
            outputs,
            (1, width),
            weight_quant=Int8WeightPerTensorFixedPoint,
            bias_quant=Int32Bias,
        ),
        QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True),
    )


class ZeroPad2dTestNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = quant_identity()
        self.conv1 = conv_relu(1, 4, 4)
        self.max_pool = nn.MaxPool2d((1, 8))
        self.conv2 = conv_relu(4, 8, 8)
        self.avg_pool = nn.AvgPool2d((1, 4))
        self.quant_pool = quant_identity()
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(128, 10, bias=True, weight_quant=Int8WeightPerTensorFixedPoint)

    def forward(self, x: Tensor) -> Tensor:
        x = self.max_pool(self.conv1(self.quant_in(x)))
        x = self.quant_pool(self.avg_pool(self.conv2(x)))
        return self.fc(self.flatten(x))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.eeg(8, 64, sample),)


DIMENSIONS = Dimensions(
    inputs=((1, 1, 8, 64),),
    outputs=((1, 10),),
    macs=25_856,
    parameters=1_574,
)
