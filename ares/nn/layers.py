"""Conv2d, Linear, ReLU: Brevitas' layers with the choices that ARES recommends.

They *are* `QuantConv2d`, `QuantLinear` and `QuantReLU` (subclasses that change defaults only).
Weights: signed, one scale per output channel, unless `weight_quant=` says otherwise. Bias: float, exact in the C. No
other quantiser sits inside `Conv2d` and `Linear`: what leaves them is a real value that waits for `ReLU` or a
`QuantIdentity`.
"""

from __future__ import annotations

from brevitas.nn import QuantConv2d, QuantLinear, QuantReLU
from brevitas.nn.quant_layer import ActQuantType, WeightQuantType
from brevitas.quant import Int8WeightPerChannelFloat, Uint8ActPerTensorFloat

from ares.nn.quantizers import DEFAULT_BIT_WIDTH, activation_options, weight_options


class Conv2d(QuantConv2d):
    """[B, in_channels, H, W] codes -> [B, out_channels, H', W'] real values, that a `ReLU` or a quantiser follows.

    H' = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1, W' alike. No quantiser but the weights'.
    `return_quant_tensor` is False by default: the result is not on a grid yet.

    >>> codes = ReLU()(Conv2d(3, 8, 3, padding=1)(default_quant_identity()(torch.randn(1, 3, 8, 8))))
    >>> codes.shape
    torch.Size([1, 8, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = False,
        *,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            **weight_options(weight_quant, bit_width),
            return_quant_tensor=return_quant_tensor,
        )


class Linear(QuantLinear):
    """[B, ..., in_features] codes -> [B, ..., out_features] real values; a network's last may stay so: logits.

    No quantiser but the weights'. `return_quant_tensor` is False by default: the result is not on a grid yet.

    >>> logits = Linear(32, 10)(default_quant_identity()(torch.randn(1, 32)))
    >>> logits.shape
    torch.Size([1, 10])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = False,
        *,
        weight_quant: WeightQuantType | None = Int8WeightPerChannelFloat,
    ) -> None:
        super().__init__(
            in_features,
            out_features,
            bias=bias,
            **weight_options(weight_quant, bit_width),
            return_quant_tensor=return_quant_tensor,
        )


class ReLU(QuantReLU):
    """max(x, 0), then unsigned codes 0 .. 2^n-1 with one scale per tensor. Any shape, and y has the same.

    The quantiser is the layer's own, on the result.

    >>> codes = ReLU()(torch.tensor([-1.0, 1.0]))
    >>> codes.shape, bool(codes.signed)
    (torch.Size([2]), False)
    """

    def __init__(
        self,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType | None = Uint8ActPerTensorFloat,
    ) -> None:
        super().__init__(
            **activation_options(act_quant, bit_width),
            return_quant_tensor=return_quant_tensor and act_quant is not None,
        )
