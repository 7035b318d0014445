"""ReLU, module and functional form: a limit of the codes of the next quantiser, or of the codes that are there."""

from __future__ import annotations

from torch import nn

from ares.extract._unary import unary
from ares.numerics import RELU
from ares.ops.relu import Relu

unary(Relu, RELU, (nn.ReLU,), ("relu",))
