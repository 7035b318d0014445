"""GroupNorm and InstanceNorm: exact moments of each group's codes, one rounding at the next quantiser."""

from __future__ import annotations

from math import prod

from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
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


_RANKS = {nn.InstanceNorm1d: 3, nn.InstanceNorm2d: 4, nn.InstanceNorm3d: 5}


@on_module(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
@on_function("instance_norm")
def instance_norm(call: Call) -> Value:
    """Every channel is a group of its own."""
    module = call.node.module
    expected = next((rank for kind, rank in _RANKS.items() if isinstance(module, kind)), None)
    if expected not in (None, len(call.out_shape)):
        reject(
            f"it gives shape {list(call.out_shape)}",
            f"give it a tensor of {expected} dimensions, batch first",
        )
    if not _measures(call):
        reject(
            "it normalises with running statistics, not with its input's",
            f"use nn.BatchNorm{len(call.out_shape) - 2}d, which computes the same in evaluation mode",
        )
    # torch.instance_norm has another order than F.instance_norm, and an argument more.
    first = 1 if len(call.args) == 9 else 3
    return normalised(
        call,
        GroupNorm,
        call.setting("weight", first),
        call.setting("bias", first + 1),
        call.setting("eps", 7, 1e-5),
        count=prod(call.out_shape[2:]),
        groups=call.out_shape[1],
    )


def _measures(call: Call) -> bool:
    """Whether it takes mean and variance of its input, in evaluation mode."""
    if call.node.module is None:
        return bool(call.argument("use_input_stats", 5, True))
    return call.module.running_mean is None
