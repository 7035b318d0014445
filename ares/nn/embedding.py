"""Positions added to tokens: PositionalEmbedding."""

from __future__ import annotations

import torch
from brevitas.nn.quant_layer import ActQuantType
from brevitas.quant import Int8ActPerTensorFloat
from torch import Tensor, nn

from ares.nn.errors import MappingError
from ares.nn.quant_tensor import AnyTensor, value_of
from ares.nn.quantizers import DEFAULT_BIT_WIDTH, default_quant_identity, require_class


class PositionalEmbedding(nn.Module):
    """y = quant(x + table_quant(table)), one rounding of the exact sum.

    Shapes: x and y [B, T, D], table [1, T, D]: a parameter for `PositionalEmbedding(num_positions, dim)`, a constant
    (buffer) for `PositionalEmbedding(table=tensor)` of shape [T, D] or [1, T, D]. Quantisers: `table_quant` on the
    table, `quant` on the sum. Raises ValueError for anything else, and for an x with another number of positions.

    >>> positions = PositionalEmbedding(num_positions=8, dim=32)
    >>> positions(default_quant_identity()(torch.randn(1, 8, 32))).shape
    torch.Size([1, 8, 32])
    """

    table: Tensor

    def __init__(
        self,
        num_positions: int | None = None,
        dim: int | None = None,
        *,
        table: Tensor | None = None,
        bit_width: int = DEFAULT_BIT_WIDTH,
        return_quant_tensor: bool = True,
        act_quant: ActQuantType = Int8ActPerTensorFloat,
    ) -> None:
        super().__init__()
        require_class(self, act_quant)
        if table is not None:
            if num_positions is not None or dim is not None:
                raise ValueError("give num_positions and dim, or a table, not both")
            constant = table.detach().clone()
            if constant.dim() == 2:
                constant = constant[None]
            if constant.dim() != 3 or constant.shape[0] != 1 or constant.numel() == 0:
                raise ValueError(f"a table of shape {list(table.shape)}, expected [T, D]")
            self.register_buffer("table", constant)
        elif num_positions is None or dim is None:
            raise ValueError("expected num_positions and dim, or a table")
        else:
            self.table = nn.Parameter(0.02 * torch.randn(1, num_positions, dim))
        self.table_quant = default_quant_identity(bit_width, act_quant=act_quant)
        self.quant = default_quant_identity(bit_width, return_quant_tensor, act_quant=act_quant)

    def forward(self, x: AnyTensor) -> AnyTensor:
        """quant(x + table_quant(table))"""
        value = value_of(x)
        if value.shape[-2:] != self.table.shape[-2:]:
            raise MappingError(
                "PositionalEmbedding",
                f"input {list(value.shape)} for {self.table.shape[1]} positions of "
                f"{self.table.shape[2]} features",
                "construct it for the tokens that there are",
            )
        return self.quant(value + value_of(self.table_quant(self.table)))

    def extra_repr(self) -> str:
        return f"num_positions={self.table.shape[1]}, dim={self.table.shape[2]}"
