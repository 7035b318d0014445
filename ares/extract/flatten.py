"""nn.Flatten and torch.flatten: PyTorch's order of elements, whatever lies in C's memory."""

from __future__ import annotations

from torch import nn

from ares.extract._call import Call
from ares.extract._moves import shape_move
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.flatten import Flatten


@on_module(nn.Flatten)
@on_function("flatten")
def flatten(call: Call) -> Value:
    return shape_move(call, Flatten)
