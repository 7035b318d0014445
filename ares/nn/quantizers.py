"""The default quantiser of `ares.nn`: signed, one scale per tensor, zero point 0."""

from __future__ import annotations

from typing import Final

from brevitas.nn import QuantIdentity

DEFAULT_BIT_WIDTH: Final = 8
"""Bit width of every weight and activation that does not name its own."""


def default_quant_identity(
    bit_width: int = DEFAULT_BIT_WIDTH, return_quant_tensor: bool = True
) -> QuantIdentity:
    """`QuantIdentity` with codes -2^(n-1) .. 2^(n-1)-1: for a network's input, after poolings, at joins.

    Any shape, and the result has the same.

    >>> codes = default_quant_identity()(torch.randn(1, 8))
    >>> codes.shape, int(codes.bit_width)
    (torch.Size([1, 8]), 8)
    """
    return QuantIdentity(bit_width=bit_width, return_quant_tensor=return_quant_tensor)
