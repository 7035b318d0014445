"""QuantConv1dDepthwise of `ares.nn`: one fused operation once its quantiser is known."""

from __future__ import annotations

import numpy as np

from ares.extract._affine import affine_result, channel_input, read_affine
from ares.extract._call import Call
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._rescaling import rescale_for
from ares.extract._values import Unknown, Value
from ares.ir import frozen_array
from ares.nn.leaves.conv1d import QuantConv1dDepthwise
from ares.ops.conv1d_depthwise import Conv1dDepthwise


@on_module(QuantConv1dDepthwise)
def conv1d_depthwise(call: Call) -> Value:
    layer = call.module
    given = channel_input(call, layer.groups)
    if isinstance(given, Unknown):
        return given
    source, scales = given
    tensor = call.builder.tensors[source]
    affine = read_affine(call, tensor, scales)

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = affine.rescale_terms(tensor)
        return call.add(
            Conv1dDepthwise,
            (source,),
            quantizer,
            weight=frozen_array(affine.weight[:, 0], np.int8),
            left=layer.left,
            rescale=rescale_for(call, quantizer, ratios, biases, affine.bound(tensor)),
        )

    return affine_result(call, finish, axis=1)
