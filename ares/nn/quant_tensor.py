"""What flows between quantised layers: a torch Tensor or a Brevitas QuantTensor.

Both carry the same numbers (dequantised values); a QuantTensor adds scale, zero point and bit width.
The modules of `ares.nn` accept either, and compute on the plain values.
"""

from __future__ import annotations

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
