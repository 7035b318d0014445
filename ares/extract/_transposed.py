"""Transposed convolutions of Brevitas: one fused operation once its quantiser is known."""

from __future__ import annotations

from functools import cache

from ares.extract._affine import affine_result, channel_input, read_affine
from ares.extract._call import Call
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import rescale_for
from ares.extract._values import Unknown, Value
from ares.extract._weights import read_weights
from ares.extract.conv_transpose_fp32 import add_real
from ares.numerics import Pointwise
from ares.ops._transposed import QuantizedTransposedConvolution


def transposed_convolution(call: Call, operation: type[QuantizedTransposedConvolution]) -> Value:
    """The call of such a layer of Brevitas as `operation`, which has as many axes."""
    layer = call.module
    given = channel_input(call, layer.groups)
    if isinstance(given, Unknown):
        return given
    source, scales = given
    tensor = call.builder.tensors[source]
    axes = len(layer.kernel_size)
    if len(tensor.shape) != axes + 2:
        reject(
            f"its input has shape {list(tensor.shape)}",
            "give it [batch, channels, " + ("length]" if axes == 1 else "height, width]"),
        )
    affine = read_affine(call, tensor, scales, transposed=True)

    fields = {
        "weight": read_weights(call.single, layer).codes,
        "stride": tuple(layer.stride),
        "padding": tuple(layer.padding),
        "output_padding": _output_padding(call, tensor.shape[2:]),
        "dilation": tuple(layer.dilation),
        "groups": layer.groups,
    }

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = affine.rescale_terms(tensor)
        rescale = rescale_for(call, quantizer, ratios, biases, affine.bound(tensor))
        return call.add(operation, (source,), quantizer, **fields, rescale=rescale)

    @cache
    def expose(pointwise: Pointwise) -> str:
        return add_real(call, source, affine, fields, pointwise)

    return affine_result(call, finish, axis=1, expose=expose)


def _output_padding(call: Call, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """What the forward pass had, where it may have chosen with `output_size`."""
    layer = call.module
    settings = zip(
        *(call.out_shape[2:], sizes, layer.stride, layer.padding, layer.dilation),
        layer.kernel_size,
        strict=True,
    )
    return tuple(
        size - ((given - 1) * step - 2 * pad + spread * (kernel - 1) + 1)
        for size, given, step, pad, spread, kernel in settings
    )
