"""What QuantConv1d and QuantConv2d share: weights, geometry, and one fused operation once the quantiser is known."""

from __future__ import annotations

import math
from functools import cache

import torch.nn.functional as F

from ares.extract._affine import affine_result, channel_input, read_affine
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import rescale_for
from ares.extract._summing import Geometry, Summing
from ares.extract._taking import tables_of
from ares.extract._values import Unknown, Value
from ares.extract.conv_fp32 import add_real
from ares.extract.conv_sum import summed_by
from ares.numerics import Pointwise
from ares.ops._convolution import QuantizedConvolution
from ares.ops.pad2d import Pad2d


def convolution(call: Call, operation: type[QuantizedConvolution]) -> Value:
    """What the call of a convolution leaves; `operation` is what it becomes in front of a quantiser."""
    layer = call.module
    given = channel_input(call, layer.groups)
    if isinstance(given, Unknown):
        return given
    source, scales = given
    tensor, rank = call.builder.tensors[source], 2 + len(layer.kernel_size)
    if len(tensor.shape) != rank:
        reject(
            f"its input has shape {list(tensor.shape)}, rank {len(tensor.shape)}, expected rank {rank}",
            "give it the batch as the first dimension",
        )
    if layer.padding_mode != "zeros":
        source = _padded(call, source)
        tensor = call.builder.tensors[source]
    geometry = Geometry(
        tuple(layer.stride),
        _padding(call, tensor.shape[2:]),
        tuple(layer.dilation),
        layer.groups,
    )
    affine = read_affine(call, tensor, scales)

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = affine.rescale_terms(tensor)
        return call.add(
            operation,
            (source,),
            quantizer,
            weight=affine.weight,
            **geometry.fields(),
            rescale=rescale_for(call, quantizer, ratios, biases, affine.bound(tensor)),
        )

    @cache
    def expose(pointwise: Pointwise) -> str:
        return add_real(call, source, affine, Summing(geometry, {}, rank), pointwise)

    summed = summed_by(call, source, affine, geometry)
    return affine_result(call, finish, axis=1, expose=expose, summed=summed)


def _padded(call: Call, source: str) -> str:
    """The tensor in the frame of its own codes that the layer makes: by reflection, repetition or around the edge."""
    layer, tensor = call.module, call.builder.tensors[source]
    sides = list(layer._reversed_padding_repeated_twice)
    rows, columns = tables_of(tensor.shape, lambda x: F.pad(x, sides, layer.padding_mode))
    if not rows.size and not columns.size:
        return source
    name = f"{call.name}.padded"
    return call.add(Pad2d, (source,), tensor, name=name, rows=rows, columns=columns)


def _split(reaches: list[int]) -> tuple[int, ...]:
    """Sums of both sides to what is before each axis, then behind each; an odd element goes to the end."""
    return (*(reach // 2 for reach in reaches), *(reach - reach // 2 for reach in reaches))


def _padding(call: Call, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Before each axis, then behind each, from PyTorch's number, numbers, 'valid' or 'same'."""
    layer = call.module
    if layer.padding == "valid" or layer.padding_mode != "zeros":
        return (0,) * (2 * len(sizes))
    reaches = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if layer.padding == "same":
        return _split(reaches)
    if layer.is_same_padded_strided:  # Brevitas' own, for padding="same" with a stride
        return _split(
            [
                max((math.ceil(size / step) - 1) * step + reach + 1 - size, 0)
                for size, step, reach in zip(sizes, layer.stride, reaches, strict=True)
            ]
        )
    if not isinstance(layer.padding, tuple):
        reject(f"its padding is {layer.padding!r}", "give padding as a number or a pair")
    return tuple(layer.padding) * 2
