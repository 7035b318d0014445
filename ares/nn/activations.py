"""Activation functions with a quantiser of their own: QuantSiLU."""

from __future__ import annotations

from brevitas.nn.quant_layer import ActQuantType
from brevitas.quant import Int8ActPerTensorFloat
from torch import nn
from torch.nn import SiLU
from torch.nn.functional import silu

from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity

__all__ = ["QuantSiLU", "SiLU"]


class QuantSiLU(nn.Module):
    """y = quant(silu(x)), with silu(x) = x / (1 + e^-x). Any shape.

    After a layer without a quantiser (Conv2d, Linear) it is part of that layer's one rounding; on codes it is a
    table. The one quantiser is `quant`, on the result; `act_quant=None` leaves the result real.

    >>> codes = QuantSiLU()(QuantIdentity(return_quant_tensor=True)(torch.randn(2, 8)))
    >>> codes.shape, bool(codes.signed)
    (torch.Size([2, 8]), True)
    """

    def __init__(
        self,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType | None = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """quant(silu(x))"""
        return self.quant(silu(value_of(x)))
