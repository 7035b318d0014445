"""Pooling: GlobalAvgPool.

An average leaves real values: put a `QuantIdentity` behind it. Max pooling keeps codes.
"""

from __future__ import annotations

from torch import nn


class GlobalAvgPool(nn.AdaptiveAvgPool2d):
    """[B, C, H, W] -> [B, C, 1, 1], the mean over H and W: `AdaptiveAvgPool2d(1)`."""

    def __init__(self) -> None:
        super().__init__(1)
