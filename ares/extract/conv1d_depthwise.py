"""QuantConv1dDepthwise of `ares.nn`: one fused operation once its quantiser is known."""

from __future__ import annotations

import numpy as np

from ares.extract._affine import affine_input, affine_result, read_affine
from ares.extract._call import Call
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._values import Unknown, Value
from ares.ir import constant
from ares.nn.leaves.conv1d import QuantConv1dDepthwise
from ares.ops.conv1d_depthwise import Conv1dDepthwise


@on_module(QuantConv1dDepthwise)
def conv1d_depthwise(call: Call) -> Value:
    source = affine_input(call)
    if isinstance(source, Unknown):
        return source
    layer = call.module
    tensor = call.tensor(source)
    affine = read_affine(call, tensor)

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = affine.rescale_terms(tensor)
        return call.add(
            Conv1dDepthwise,
            (source.tensor,),
            quantizer,
            weight=constant(affine.weight[:, 0], np.int8),
            left=layer.left,
            rescale=call.rescale(quantizer, ratios, biases, affine.bound(tensor)),
        )

    return affine_result(call, finish, axis=1)
