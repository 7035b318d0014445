"""QuantConv2d: weights, geometry, and one fused operation once its quantiser is known."""

from __future__ import annotations

import math

import brevitas.nn as qnn

from ares.extract._affine import affine_result, channel_input, read_affine
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._registry import on_module
from ares.extract._rescaling import rescale_for
from ares.extract._values import Unknown, Value
from ares.ops.conv2d import Conv2d


@on_module(qnn.QuantConv2d)
def conv2d(call: Call) -> Value:
    layer = call.module
    given = channel_input(call, layer.groups)
    if isinstance(given, Unknown):
        return given
    source, scales = given
    if layer.padding_mode != "zeros":
        reject(f"it pads with {layer.padding_mode!r}", "use padding_mode='zeros'")
    tensor = call.builder.tensors[source]
    padding = _padding(call, tensor.shape[2:])
    affine = read_affine(call, tensor, scales)

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = affine.rescale_terms(tensor)
        return call.add(
            Conv2d,
            (source,),
            quantizer,
            weight=affine.weight,
            stride=tuple(layer.stride),
            padding=padding,
            dilation=tuple(layer.dilation),
            groups=layer.groups,
            rescale=rescale_for(call, quantizer, ratios, biases, affine.bound(tensor)),
        )

    return affine_result(call, finish, axis=1)


def _split(height: int, width: int) -> tuple[int, int, int, int]:
    """Sums of both sides to (top, left, bottom, right); an odd element goes to the end."""
    return (height // 2, width // 2, height - height // 2, width - width // 2)


def _padding(call: Call, sizes: tuple[int, ...]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right), from PyTorch's number, pair, 'valid' or 'same'."""
    layer = call.module
    if layer.padding == "valid":
        return (0, 0, 0, 0)
    reaches = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if layer.padding == "same":
        return _split(*reaches)
    if layer.is_same_padded_strided:  # Brevitas' own, for padding="same" with a stride
        return _split(
            *(
                max((math.ceil(size / step) - 1) * step + reach + 1 - size, 0)
                for size, step, reach in zip(sizes, layer.stride, reaches, strict=True)
            )
        )
    if not isinstance(layer.padding, tuple):
        reject(f"its padding is {layer.padding!r}", "give padding as a number or a pair")
    top, left = layer.padding
    return (top, left, top, left)
