"""LayerNorm, RMSNorm, GroupNorm: torch's own layers.

They take codes; what leaves them is a real value that waits for a QuantIdentity or an activation with a quantiser.
"""

from __future__ import annotations

from torch import nn
from torch.nn import GroupNorm, LayerNorm

__all__ = ["GroupNorm", "LayerNorm", "RMSNorm"]


class RMSNorm(nn.RMSNorm):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last axis: [..., dim] codes to [..., dim] real values.

    It holds no quantiser: one follows it.

    torch's own default, eps=None, is another number in float32 than in float64.

    >>> real = RMSNorm(32)(default_quant_identity()(torch.randn(1, 8, 32)))
    >>> default_quant_identity()(real).shape
    torch.Size([1, 8, 32])
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__(dim, eps=eps)
