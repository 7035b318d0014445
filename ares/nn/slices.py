"""Parts and reversals without arithmetic: Slice and Flip.

They change no value and hold no quantiser: codes stay codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ares.nn.quant_tensor import AnyTensor, value_of


class Slice(nn.Module):
    """Positions start .. stop - 1 along axis `dim`, as torch.narrow: [B, T, D] to [B, stop - start, D] for dim = 1.

    No quantiser: codes stay codes. Returns plain values.

    >>> first = Slice(1, 0, 4)
    >>> first(torch.randn(1, 8, 32)).shape
    torch.Size([1, 4, 32])
    """

    def __init__(self, dim: int, start: int, stop: int) -> None:
        super().__init__()
        if dim == 0 or not 0 <= start < stop:
            raise ValueError(
                f"Slice: expected an axis behind the batch and 0 <= start < stop, got {dim}, {start}, {stop}"
            )
        self.dim, self.start, self.stop = dim, start, stop

    def forward(self, x: AnyTensor) -> Tensor:
        """x[..., start:stop, ...]"""
        return torch.narrow(value_of(x), self.dim, self.start, self.stop - self.start)

    def extra_repr(self) -> str:
        return f"{self.dim}, {self.start}, {self.stop}"


class Flip(nn.Module):
    """Axes in reverse, any but the batch: Flip(1) turns [B, T, D] around in time, the shape is kept.

    No quantiser: codes stay codes. Returns plain values.

    >>> backwards = Flip(1)
    >>> backwards(torch.tensor([[1, 2, 3]]))
    tensor([[3, 2, 1]])
    """

    def __init__(self, *dims: int) -> None:
        super().__init__()
        if not dims or 0 in dims:
            raise ValueError(f"Flip: expected axes behind the batch, got {dims}")
        self.dims = dims

    def forward(self, x: AnyTensor) -> Tensor:
        """x.flip(dims)"""
        return torch.flip(value_of(x), self.dims)

    def extra_repr(self) -> str:
        return ", ".join(str(dim) for dim in self.dims)
