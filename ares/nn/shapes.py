"""Reordering without arithmetic: Reshape, Permute, Squeeze.

They change no value and hold no quantiser: codes stay codes, a QuantTensor stays a QuantTensor of the
same (per-tensor) scale.
"""

from __future__ import annotations

from brevitas.quant_tensor import QuantTensor
from torch import nn

from ares.nn.quant_tensor import AnyTensor


def _integers(layer: str, values: tuple[int, ...]) -> None:
    if not values or not all(type(value) is int for value in values):
        raise TypeError(f"{layer}: expected integers, as in {layer}(2, 3), got {values!r}")


class Reshape(nn.Module):
    """[B, ...] -> [B, *shape] in PyTorch's element order; one entry may be -1. The batch is kept.

    No quantiser: codes stay codes.

    >>> tokens = Reshape(16, -1)
    >>> tokens(torch.randn(1, 4, 8, 8)).shape
    torch.Size([1, 16, 16])
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        _integers("Reshape", shape)
        if shape.count(-1) > 1 or any(size < 1 and size != -1 for size in shape):
            raise ValueError(f"Reshape: expected positive sizes and at most one -1, got {shape}")
        self.shape = shape

    def forward(self, x: AnyTensor) -> AnyTensor:
        """x.reshape(B, *shape)"""
        return x.reshape((x.shape[0], *self.shape))

    def extra_repr(self) -> str:
        return ", ".join(str(size) for size in self.shape)


class Permute(nn.Module):
    """Axes in a new order, the batch included: Permute(0, 2, 1) maps [B, T, D] to [B, D, T].

    No quantiser: codes stay codes.

    >>> swap = Permute(0, 2, 1)
    >>> swap(torch.randn(1, 8, 32)).shape
    torch.Size([1, 32, 8])
    """

    def __init__(self, *dims: int) -> None:
        super().__init__()
        _integers("Permute", dims)
        if sorted(dim % len(dims) for dim in dims) != list(range(len(dims))):
            raise ValueError(f"Permute: expected every axis 0..{len(dims) - 1} once, got {dims}")
        self.dims = dims

    def forward(self, x: AnyTensor) -> AnyTensor:
        """x.permute(dims)"""
        return x.permute(*self.dims)

    def extra_repr(self) -> str:
        return ", ".join(str(dim) for dim in self.dims)


class Squeeze(nn.Module):
    """Removes axis `dim` when its size is 1, else does nothing, as torch.squeeze(x, dim): [B, D, 1] to [B, D].

    No quantiser: codes stay codes.

    >>> squeeze = Squeeze(-1)
    >>> squeeze(torch.randn(1, 32, 1)).shape
    torch.Size([1, 32])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        _integers("Squeeze", (dim,))
        self.dim = dim

    def forward(self, x: AnyTensor) -> AnyTensor:
        """x.squeeze(dim)"""
        if isinstance(x, QuantTensor):  # which has no squeeze() of its own
            return x.set(value=x.value.squeeze(self.dim))
        return x.squeeze(self.dim)

    def extra_repr(self) -> str:
        return str(self.dim)
