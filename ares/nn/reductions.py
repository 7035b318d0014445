"""Reductions over an axis: QuantMean."""

from __future__ import annotations

from brevitas.nn.quant_layer import ActQuantType
from brevitas.quant import Int8ActPerTensorFloat
from torch import nn

from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity


class QuantMean(nn.Module):
    """y = quant(mean of x over `dim`), one rounding of the exact mean.

    Shapes: x [B, T, D] with dim=1 gives [B, D], or [B, 1, D] with keepdim. `dim` may be a tuple.
    The one quantiser is `quant`, on the result; `act_quant=None` leaves the result real.
    Raises ValueError for the batch axis 0.

    >>> mean = QuantMean(dim=1)
    >>> mean(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 32])
    """

    def __init__(
        self,
        dim: int | tuple[int, ...] = 1,
        keepdim: bool = False,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType | None = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        if 0 in (dim if isinstance(dim, tuple) else (dim,)):
            raise ValueError(
                f"QuantMean over dim={dim}: axis 0 is the batch, which is never averaged"
            )
        self.dim = dim
        self.keepdim = keepdim
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """quant(mean(x))"""
        return self.quant(value_of(x).mean(dim=self.dim, keepdim=self.keepdim))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, keepdim={self.keepdim}"
