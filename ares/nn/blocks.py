"""Small composites of convolutions: ResidualBlock."""

from __future__ import annotations

from typing import Any

from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat
from torch import nn

from ares.nn.errors import MappingError
from ares.nn.joins import QuantAdd
from ares.nn.layers import Conv2d, ReLU
from ares.nn.quant_tensor import AnyTensor
from ares.nn.quantizers import (
    DEFAULT_BIT_WIDTH,
    default_quant_identity,
    require_class,
    unsigned,
)


class ResidualBlock(nn.Module):
    """y = relu(x + conv2(relu(conv1(x)))), stride 1, same size.

    Shapes: [B, channels, H, W] codes in and out. Quantisers: `relu1` (unsigned) after conv1, `quant`
    (signed) after conv2, `add.quant` (signed) on the sum, `relu2` (unsigned) on the result: `act_quant`, and its
    unsigned form.
    Raises ValueError for an even kernel, which cannot keep the size with symmetric padding.

    >>> block = ResidualBlock(channels=4)
    >>> block(default_quant_identity()(torch.randn(1, 4, 8, 8))).shape
    torch.Size([1, 4, 8, 8])
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int = 3,
        bit_width: int = DEFAULT_BIT_WIDTH,
        *,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        if kernel_size % 2 == 0:
            raise MappingError(
                "ResidualBlock",
                f"kernel_size={kernel_size} is even, and padding={kernel_size // 2} would lengthen every axis by "
                "one",
                "choose an odd kernel_size",
            )
        sizes = (channels, channels, kernel_size)
        padding = kernel_size // 2
        weights: dict[str, Any] = {"bit_width": bit_width, "weight_quant": weight_quant}
        self.conv1 = Conv2d(*sizes, padding=padding, **weights)
        self.relu1 = ReLU(bit_width, act_quant=unsigned(act_quant))
        self.conv2 = Conv2d(*sizes, padding=padding, **weights)
        self.quant = default_quant_identity(bit_width, act_quant=act_quant)
        self.add = QuantAdd(bit_width, act_quant=act_quant)
        self.relu2 = ReLU(bit_width, act_quant=unsigned(act_quant))

    def forward(self, x: AnyTensor) -> AnyTensor:
        """relu(x + conv2(relu(conv1(x))))"""
        y = self.quant(self.conv2(self.relu1(self.conv1(x))))
        return self.relu2(self.add(x, y))
