"""A unary function on codes and the quantiser after it, through a table.

Sigmoid, Tanh, ELU, Hardswish, LeakyReLU and Softplus. Without a quantiser before it, such a function is part of
the convolution or linear layer (N5).

eps: see `ares.ops._lookup`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ares.ops._lookup import LookupOperation


@dataclass(frozen=True, slots=True, eq=False)
class Activation(LookupOperation):
    """`out = clamp(round(f((in - z_in) * scale_in) / scale_out + z_out))`, as a table of all 256 codes

    Any shape; f is evaluated in float64 at extraction.
    """

    OP_TYPE = "OP_ACTIVATION"
    LAYER_TYPE = "Activation"
    PYTHON_CLASS = "torch.nn.Sigmoid"
