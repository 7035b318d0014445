"""QuantConv1dDepthwise: one filter a channel along time."""

from __future__ import annotations

import torch.nn.functional as F
from brevitas.nn import QuantConv1d
from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat

from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, output_options, weight_options


class QuantConv1dDepthwise(QuantConv1d):
    """[B, in_channels, T] codes -> [B, in_channels, T] codes: y[t] = bias + sum over j of w[j] x[t + j - left].

    Outside x is zero. `left` is kernel_size - 1 when `causal` (y[t] sees nothing after t), else half of it, rounded
    down. The quantiser is the layer's `output_quant`. With `quantize_output=False`, or `act_quant=None`, there is none
    and the result is real, so that an activation function and its quantiser join the convolution;
    `return_quant_tensor` then counts for nothing.

    >>> conv = QuantConv1dDepthwise(in_channels=6, kernel_size=4)
    >>> conv(default_quant_identity()(torch.randn(1, 6, 16))).shape
    torch.Size([1, 6, 16])
    """

    def __init__(
        self,
        in_channels: int,
        kernel_size: int = 4,
        bias: bool = True,
        causal: bool = True,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        quantize_output: bool = True,
        *,
        act_quant: ActQuantType | None = Int8ActPerTensorFloat,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        if in_channels < 1 or kernel_size < 1:
            raise ValueError(
                f"QuantConv1dDepthwise: in_channels={in_channels} and kernel_size={kernel_size} must be "
                "positive"
            )
        output_quant = act_quant if quantize_output else None
        super().__init__(
            in_channels,
            in_channels,
            kernel_size,
            groups=in_channels,
            bias=bias,
            return_quant_tensor=return_quant_tensor and output_quant is not None,
            **weight_options(weight_quant, bit_width),
            **output_options(output_quant, bit_width),
        )
        self.causal = causal

    @property
    def left(self) -> int:
        """Zeros before the first time step; the rest of kernel_size - 1 follows the last."""
        reach = int(self.kernel_size[0]) - 1
        return reach if self.causal else reach // 2

    def forward(self, x: AnyTensor) -> AnyTensor:
        """conv(pad(x)), quantised"""
        right = int(self.kernel_size[0]) - 1 - self.left
        return super().forward(F.pad(value_of(x), (self.left, right)))
