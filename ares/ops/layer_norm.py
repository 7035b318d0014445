"""LayerNorm with everything up to the next quantiser: exact moments, one inverse root a row, one rounding.

eps: see `ares.ops._norms`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._norms import TrailingNormOperation


@dataclass(frozen=True, slots=True, eq=False)
class LayerNorm(TrailingNormOperation):
    """`out[...,i] = finish(gamma[i] * (n * x[i] - S1) / sqrt(n * S2 - S1^2 + n^2 * eps / scale^2) + beta[i])`

    x = in - z; S1, S2: sums of x and of x^2 over the n codes of the last `axes` axes, at most 2^17. Any shape.
    `rescale` holds gamma (signed) and beta, of one or n channels.
    """

    OP_TYPE = "OP_LAYERNORM"
    LAYER_TYPE = "LayerNorm"
    PYTHON_CLASS = "torch.nn.LayerNorm"
