"""QuantConvTranspose2d."""

from __future__ import annotations

import brevitas.nn as qnn

from ares.extract._call import Call
from ares.extract._registry import on_module
from ares.extract._transposed import transposed_convolution
from ares.extract._values import Value
from ares.ops.conv_transpose2d import ConvTranspose2d


@on_module(qnn.QuantConvTranspose2d)
def conv_transpose2d(call: Call) -> Value:
    return transposed_convolution(call, ConvTranspose2d)
