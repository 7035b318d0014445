"""LayerNorm, RMSNorm, GroupNorm: torch's own layers.

They take codes; what leaves them is a real value that waits for a QuantIdentity or an activation with a quantiser.
"""

from __future__ import annotations

from torch import nn
from torch.nn import GroupNorm, LayerNorm

__all__ = ["GroupNorm", "LayerNorm", "RMSNorm"]


class RMSNorm(nn.RMSNorm):
    """`x / sqrt(mean(x^2) + eps) * weight` over the last axis of size `dim`.

    torch's own default, eps=None, is another number in float32 than in float64.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__(dim, eps=eps)
