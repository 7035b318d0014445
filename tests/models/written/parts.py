"""What the written networks are put together from; some of it hands on QuantTensors, some plain tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import brevitas.nn as qnn
from torch import nn

Network = tuple[Callable[[], nn.Module], tuple[int, ...]]
"""What builds a network, and the shape of one sample."""


def quant(**options: Any) -> Any:
    """A quantiser that hands on QuantTensors."""
    return qnn.QuantIdentity(return_quant_tensor=True, **options)


def relu(**options: Any) -> Any:
    """ReLU and quantiser, handing on QuantTensors."""
    return qnn.QuantReLU(return_quant_tensor=True, **options)


def quants(count: int) -> nn.ModuleList:
    """Quantisers that hand on plain tensors."""
    return nn.ModuleList(qnn.QuantIdentity() for _ in range(count))


def conv1d(channels: int, filters: int, kernel: int, **options: Any) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU: most of what is published."""
    return nn.Sequential(
        qnn.QuantConv1d(channels, filters, kernel, bias=False, **options),
        nn.BatchNorm1d(filters),
        relu(),
    )


def conv2d(channels: int, filters: int, kernel: Any, **options: Any) -> nn.Sequential:
    """The same on pictures."""
    return nn.Sequential(
        qnn.QuantConv2d(channels, filters, kernel, bias=False, **options),
        nn.BatchNorm2d(filters),
        relu(),
    )
