"""QuantConv2d: weights, geometry, and one fused operation once its quantiser is known."""

from __future__ import annotations

import brevitas.nn as qnn

from ares.extract._call import Call
from ares.extract._convolution import convolution
from ares.extract._registry import on_module
from ares.extract._values import Value
from ares.ops.conv2d import Conv2d


@on_module(qnn.QuantConv2d)
def conv2d(call: Call) -> Value:
    return convolution(call, Conv2d)
