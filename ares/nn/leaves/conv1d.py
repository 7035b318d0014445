"""QuantConv1dDepthwise: one filter a channel along time."""

from __future__ import annotations

import torch.nn.functional as F
from brevitas.nn import QuantConv1d
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat

from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH


class QuantConv1dDepthwise(QuantConv1d):
    """[B, in_channels, T] codes -> [B, in_channels, T] codes: y[t] = bias + sum over j of w[j] x[t + j - left].

    Outside x is zero. `left` is kernel_size - 1 when `causal` (y[t] sees nothing after t), else half of it, rounded
    down. The quantiser is the layer's `output_quant`. With `quantize_output=False` there is none and the result is
    real, so that an activation function and its quantiser join the convolution; `return_quant_tensor` then counts
    for nothing.

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
    ) -> None:
        if in_channels < 1 or kernel_size < 1:
            raise ValueError(
                f"QuantConv1dDepthwise: in_channels={in_channels} and kernel_size={kernel_size} must be "
                "positive"
            )
        # Without an output quantiser its bit width would be an option of nothing.
        output = (
            {"output_quant": Int8ActPerTensorFloat, "output_bit_width": bit_width}
            if quantize_output
            else {}
        )
        super().__init__(
            in_channels,
            in_channels,
            kernel_size,
            groups=in_channels,
            bias=bias,
            weight_quant=Int8WeightPerChannelFloat,
            weight_bit_width=bit_width,
            return_quant_tensor=return_quant_tensor and quantize_output,
            **output,
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
