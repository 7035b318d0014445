"""What flows between quantised layers: a torch Tensor or a Brevitas QuantTensor.

Both carry the same numbers (dequantised values); a QuantTensor adds scale, zero point and bit width.
The modules of `ares.nn` accept either, and compute on the plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from brevitas.quant_tensor import QuantTensor
from torch import Tensor

AnyTensor: TypeAlias = Tensor | QuantTensor


def value_of(x: AnyTensor) -> Tensor:
    """The plain values of `x`; raises TypeError when `x` is no tensor."""
    if isinstance(x, QuantTensor):
        value = x.value
        assert isinstance(value, Tensor)
        return value
    if isinstance(x, Tensor):
        return x
    raise TypeError(f"expected a Tensor or a QuantTensor, got {type(x).__name__}")


def tensors_in(data: object) -> list[Tensor]:
    """All tensors in nested lists, tuples and dicts; a QuantTensor counts as its value."""
    if isinstance(data, Tensor):
        return [data]
    if isinstance(data, QuantTensor):
        return [data.value]
    if isinstance(data, Mapping):
        return [tensor for item in data.values() for tensor in tensors_in(item)]
    if isinstance(data, (list, tuple)):
        return [tensor for item in data for tensor in tensors_in(item)]
    return []
