"""GroupNorm, module and function: exact moments of each group's codes, one rounding at the next quantiser."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import nn

from ares.extract._call import Call
from ares.extract._norms import normalised
from ares.extract._registry import on_function, on_module
from ares.extract._values import Value
from ares.ops.group_norm import GroupNorm


@on_module(nn.GroupNorm)
def group_norm_module(call: Call) -> Value:
    m = call.module
    return _group_norm(call, m.num_groups, m.weight, m.bias, m.eps)


@on_function("group_norm")
def group_norm_function(call: Call) -> Value:
    return _group_norm(
        call,
        call.argument(1, "num_groups"),
        call.argument(2, "weight"),
        call.argument(3, "bias"),
        call.argument(4, "eps", 1e-5),
    )


def _group_norm(call: Call, groups: int, weight: Any, bias: Any, epsilon: float) -> Value:
    count = prod(call.out_shape[1:]) // groups
    return normalised(call, GroupNorm, weight, bias, epsilon, count, groups=groups)
