"""SiLU: part of the operation before it, or a table on codes."""

from __future__ import annotations

from torch import nn

from ares.extract._unary import unary
from ares.numerics import FUNCTIONS
from ares.ops.silu import Silu

unary(Silu, FUNCTIONS["silu"], (nn.SiLU,), ("silu",))
