"""QuantConvTranspose1d."""

from __future__ import annotations

import brevitas.nn as qnn

from ares.extract._call import Call
from ares.extract._registry import on_module
from ares.extract._transposed import transposed_convolution
from ares.extract._values import Value
from ares.ops.conv_transpose1d import ConvTranspose1d


@on_module(qnn.QuantConvTranspose1d)
def conv_transpose1d(call: Call) -> Value:
    return transposed_convolution(call, ConvTranspose1d)
