"""QuantConv2d: weights, geometry, and one fused operation once its quantiser is known."""

from __future__ import annotations

import brevitas.nn as qnn

from ares.extract._affine import affine_input, affine_result, read_affine
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._values import Unknown, Value
from ares.ops.conv2d import Conv2d


@on_module(qnn.QuantConv2d)
def conv2d(call: Call) -> Value:
    source = affine_input(call)
    if isinstance(source, Unknown):
        return source
    layer = call.module
    if layer.padding_mode != "zeros":
        reject(f"it pads with {layer.padding_mode!r}", "use padding_mode='zeros'")
    padding = _padding(call)
    tensor = call.tensor(source)
    affine = read_affine(call, tensor)

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = affine.rescale_terms(tensor)
        return call.add(
            Conv2d,
            (source.tensor,),
            quantizer,
            weight=affine.weight,
            stride=tuple(layer.stride),
            padding=padding,
            dilation=tuple(layer.dilation),
            groups=layer.groups,
            rescale=call.rescale(quantizer, ratios, biases, affine.bound(tensor)),
        )

    return affine_result(call, finish)


def _padding(call: Call) -> tuple[int, int, int, int]:
    """(top, left, bottom, right), from PyTorch's number, pair, 'valid' or 'same'."""
    layer = call.module
    if layer.padding == "valid":
        return (0, 0, 0, 0)
    if layer.padding == "same":
        totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        # PyTorch puts the odd element of an even kernel at the end.
        top, left = (total // 2 for total in totals)
        return (top, left, totals[0] - top, totals[1] - left)
    if not isinstance(layer.padding, tuple):
        reject(f"its padding is {layer.padding!r}", "give padding as a number or a pair")
    top, left = layer.padding
    return (top, left, top, left)
