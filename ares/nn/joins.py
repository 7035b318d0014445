"""Two or more tensors become one: QuantAdd, QuantMul and QuantConcatenate.

Each has exactly one quantiser, `quant`, on its result; `act_quant=` chooses it, and None leaves the result real, for
the quantiser that follows. The operands are used as plain values, so they may have different scales, bit widths and
signs (Brevitas' own `+` demands equal scales and then averages them).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from brevitas.nn.quant_layer import ActQuantType
from brevitas.quant import Int8ActPerTensorFloat
from torch import nn

from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity


class QuantAdd(nn.Module):
    """Residual join: y = quant(x1 + x2), one rounding of the exact sum.

    Shapes: x1 and x2 alike, or one of them with size 1 where it is repeated; y has the larger one's.
    The one quantiser is `quant`, on the sum.

    >>> add = QuantAdd()
    >>> add(torch.ones(1, 4, 8, 8), torch.ones(1, 4, 8, 8)).shape
    torch.Size([1, 4, 8, 8])
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

    def forward(self, x1: AnyTensor, x2: AnyTensor) -> AnyTensor:
        """quant(x1 + x2)"""
        return self.quant(value_of(x1) + value_of(x2))


class QuantMul(nn.Module):
    """Gate: y = quant(x1 * x2), one rounding of the exact product.

    Shapes: x1 and x2 alike, or one of them with size 1 where it is repeated; y has the larger one's.
    The one quantiser is `quant`, on the product.

    >>> gate = QuantMul()
    >>> gate(torch.ones(1, 8, 32), torch.ones(1, 1, 32)).shape
    torch.Size([1, 8, 32])
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

    def forward(self, x1: AnyTensor, x2: AnyTensor) -> AnyTensor:
        """quant(x1 * x2)"""
        return self.quant(value_of(x1) * value_of(x2))


class QuantConcatenate(nn.Module):
    """y = quant(cat(tensors, dim)): all parts are brought to the one scale of `quant`.

    Shapes: a list of tensors that agree in every axis but `dim`; y has the sum of their sizes there.
    The one quantiser is `quant`, on the result.
    Raises TypeError when called with one tensor in the list's place, ValueError for an empty list.

    >>> join = QuantConcatenate(dim=1)
    >>> join([torch.ones(1, 4, 8, 8), torch.ones(1, 2, 8, 8)]).shape
    torch.Size([1, 6, 8, 8])
    """

    def __init__(
        self,
        dim: int = 1,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        *,
        act_quant: ActQuantType | None = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, tensors: Sequence[AnyTensor]) -> AnyTensor:
        """quant(cat(tensors))"""
        # A QuantTensor is a named tuple: without this test it would pass for a list of six tensors.
        if type(tensors) not in (list, tuple):
            raise TypeError(f"expected a list of tensors, got {type(tensors).__name__}")
        if not tensors:
            raise ValueError("expected at least one tensor to concatenate, got an empty list")
        return self.quant(torch.cat([value_of(x) for x in tensors], dim=self.dim))

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
