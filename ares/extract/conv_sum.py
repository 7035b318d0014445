"""A convolution or linear layer with an average, a mean or a sum over positions behind it: one exact sum."""

from __future__ import annotations

from functools import cache

from ares.extract._affine import Affine
from ares.extract._call import Call
from ares.extract._findings import Unquantised
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import real_value, rescale_for
from ares.extract._summing import Geometry, Summing
from ares.extract._values import Real, Summed
from ares.extract.conv_fp32 import add_real
from ares.numerics import INT32_MAX, Pointwise
from ares.ops._window import Windows
from ares.ops.conv_sum import ConvSum


def summed_by(call: Call, source: str, affine: Affine, geometry: Geometry) -> Summed:
    """How windows of the layer's results are averaged before they are rounded: `Real.summed`."""

    def summed(windows: Windows) -> Real:
        return _averaged(call, source, affine, Summing(geometry, windows, len(call.out_shape)))

    return summed


def _averaged(call: Call, source: str, affine: Affine, summing: Summing) -> Real:
    tensor = call.builder.tensors[source]
    what = f"the real output of {call.name} ({call.layer_type})"
    bound = affine.bound(tensor) * summing.positions
    if bound > INT32_MAX:
        raise Unquantised(
            f"its input is {what}, and sums of {summing.positions} results could reach {bound}, int32 ends at "
            f"{INT32_MAX}",
            "insert a QuantIdentity before it",
        )
    if summing.is_padded and (affine.bias.size or affine.bias_codes.size):
        raise Unquantised(
            f"its input is {what}, which has a bias, and its padding has none",
            "insert a QuantIdentity before it, or average without padding",
        )

    def finish(quantizer: Quantizer) -> str:
        ratios, biases = affine.rescale_terms(tensor)
        ratios = [ratio / summing.positions for ratio in ratios]
        return call.add(
            ConvSum,
            (source,),
            quantizer,
            **summing.fields(affine.weight),
            rescale=rescale_for(call, quantizer, ratios, biases, bound),
        )

    @cache
    def expose(pointwise: Pointwise) -> str:
        return add_real(call, source, affine, summing, pointwise)

    return real_value(
        call,
        finish,
        what=f"an average of {what}",
        shape=summing.shape(call.out_shape),
        axes=(summing.axis,),
        expose=expose,
    )
