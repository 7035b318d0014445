"""Pooling: GlobalAvgPool.

An average leaves real values: put a `QuantIdentity` behind it. Max pooling keeps codes.
"""

from __future__ import annotations

from torch import nn


class GlobalAvgPool(nn.AdaptiveAvgPool2d):
    """[B, C, H, W] -> [B, C, 1, 1], the mean over H and W: `AdaptiveAvgPool2d(1)`.

    It holds no quantiser: one follows it.

    >>> real = GlobalAvgPool()(default_quant_identity()(torch.randn(1, 8, 5, 5)))
    >>> default_quant_identity()(real).shape
    torch.Size([1, 8, 1, 1])
    """

    def __init__(self) -> None:
        super().__init__(1)
