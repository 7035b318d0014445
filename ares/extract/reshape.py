"""reshape, view and unflatten."""

from __future__ import annotations

from torch import nn

from ares.extract._arranged import joined
from ares.extract._call import Call
from ares.extract._moves import shape_move
from ares.extract._registry import function_detector, on_function, on_module
from ares.extract._values import Value
from ares.ops.reshape import Reshape


@on_module(nn.Unflatten)
@on_function("reshape", "view", "unflatten", "view_as", "reshape_as")
def reshape(call: Call) -> Value:
    whole = joined(call, function_detector) if call.out_shape[:1] != (1,) else None
    return shape_move(call, Reshape) if whole is None else whole
