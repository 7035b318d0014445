"""squeeze and unsqueeze: axes of one element go or come."""

from __future__ import annotations

from ares.extract._call import Call
from ares.extract._moves import shape_move
from ares.extract._registry import on_function
from ares.extract._values import Value
from ares.ops.squeeze import Squeeze


@on_function("squeeze", "unsqueeze")
def squeeze(call: Call) -> Value:
    return shape_move(call, Squeeze)
