"""RMSNorm with everything up to the next quantiser: an exact sum of squares, one inverse root a row, one rounding.

eps: see `ares.ops._norms`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._norms import TrailingNormOperation


@dataclass(frozen=True, slots=True, eq=False)
class RmsNorm(TrailingNormOperation):
    """`out[...,i] = finish(gamma[i] * n * x[i] / sqrt(n * S2 + n^2 * eps / scale^2))`

    x = in - z; S2: sum of x^2 over the n codes of the last `axes` axes, at most 2^17. Any shape.
    `rescale` holds gamma (signed), of one or n channels.
    """

    OP_TYPE = "OP_RMSNORM"
    LAYER_TYPE = "RMSNorm"
    PYTHON_CLASS = "torch.nn.RMSNorm"
    IS_CENTRED = False
