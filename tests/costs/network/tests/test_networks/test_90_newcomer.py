"""What a network costs at least: its model and its inputs. It promises nothing and is not trained."""

from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from torch import Tensor, nn

from ares.zoo import signals


class Newcomer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.quant_in = QuantIdentity(return_quant_tensor=True)
        self.conv = QuantConv2d(1, 4, 3, stride=2)
        self.relu = QuantReLU(return_quant_tensor=True)
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.fc = QuantLinear(4 * 3 * 3, 10, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.conv(self.quant_in(x))))
        return self.fc(self.flatten(x))


def example_inputs(sample: int = 0) -> tuple[Tensor, ...]:
    return (signals.picture(1, 16, 16, sample),)
