"""GroupNorm, module and function: exact moments of each group's codes, one rounding at the next quantiser."""

from __future__ import annotations

from math import prod

from torch import nn

from ares.extract._call import Call
from ares.extract._norms import normalised
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.group_norm import GroupNorm


@on_module(nn.GroupNorm)
@on_function("group_norm")
def group_norm(call: Call) -> Value:
    groups = call.setting("num_groups", 1)
    return normalised(
        call,
        GroupNorm,
        call.setting("weight", 2),
        call.setting("bias", 3),
        call.setting("eps", 4, 1e-5),
        count=prod(call.out_shape[1:]) // groups,
        groups=groups,
    )
