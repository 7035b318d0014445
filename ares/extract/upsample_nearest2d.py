"""Nearest upsampling, to any size: nn.Upsample, Brevitas' own, F.interpolate. The detector of all modes."""

from __future__ import annotations

import brevitas.nn as qnn
import torch
import torch.nn.functional as F
from torch import nn

from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._registry import on_function, on_module
from ares.extract._taking import taken
from ares.extract._values import Value
from ares.extract.upsample_bilinear2d import MODES, bilinear
from ares.ops.upsample_nearest2d import UpsampleNearest2d

_NEAREST = ("nearest", "nearest-exact")


@on_module(*(nn.Upsample, nn.UpsamplingNearest2d, qnn.QuantUpsample, qnn.QuantUpsamplingNearest2d))
@on_function("interpolate")
def upsample(call: Call) -> Value:
    mode = call.setting("mode", 3, "nearest")
    if mode in _NEAREST:
        return _nearest(call, mode)
    if mode == "area":
        reject("its mode is 'area'", "use adaptive_avg_pool2d, which is the same function")
    if mode in MODES:
        return bilinear(call)
    return reject(
        f"{call.layer_type} cannot be mapped in mode {mode!r}", "use mode='nearest' or 'bilinear'"
    )


def _nearest(call: Call, mode: str) -> Value:
    if len(call.out_shape) not in (3, 4):
        reject(f"it gives shape {list(call.out_shape)}", "give it [batch, channels, height, width]")
    size, factor = call.setting("size", 1), call.setting("scale_factor", 2)
    again = call.setting("recompute_scale_factor", 5)

    def resized(x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, size, factor, mode, recompute_scale_factor=again)

    return taken(call, UpsampleNearest2d, resized)
