"""Weights and biases of quantised affine layers (convolutions, linear layers).

A float bias is kept exact; a bias that Brevitas quantises at the accumulator's scale is integer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ares.extract._call import Call
from ares.extract._channel_codes import one_scale
from ares.extract._codes import codes_of, quantize, quantized_input, quantizer_of
from ares.extract._findings import reject
from ares.extract._quantizers import PLAIN_QUANTIZER, Quantizer, is_enabled, require_plain
from ares.extract._rescaling import fractions, real_value
from ares.extract._scales import agree
from ares.extract._values import ChannelCodes, Codes, Summed, Unknown, Value
from ares.extract._weights import read_weights, require_trained
from ares.ir import Tensor
from ares.numerics import Pointwise
from ares.ops._transposed import outputs_first

_BIAS_QUANTIZERS = (PLAIN_QUANTIZER, "PrescaledRestrictIntQuant")


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """Integers of one affine layer: weight s8 [out, ...], scale float64 [1 or out], and one kind of bias.

    `bias_codes` int64 [out] in the accumulator's scale, `bias` float64 [out] real; either may be empty.
    `input_scales` float64 [out] are those of the channels that the outputs read, empty where the input has one scale.
    """

    weight: npt.NDArray[Any]
    scale: npt.NDArray[np.float64]
    bias_codes: npt.NDArray[np.int64]
    bias: npt.NDArray[np.float64]
    input_scales: npt.NDArray[np.float64]

    def accumulator_scale(self, source: Tensor) -> npt.NDArray[np.float64]:
        """Real value of one accumulator unit, per output channel or for all."""
        assert source.scale is not None
        return self.scale * (self.input_scales if self.input_scales.size else source.scale)

    def rescale_terms(self, source: Tensor) -> tuple[list[Fraction], list[Fraction]]:
        """Exact (ratios, biases) for `rescale_for`: real value of an accumulator unit, real bias."""
        assert source.scale is not None
        inputs = fractions(self.input_scales if self.input_scales.size else source.scale)
        outputs = max(len(inputs), self.scale.size)
        ratios = [
            scale * given
            for scale, given in zip(
                fractions(np.broadcast_to(self.scale, outputs)),
                inputs * (outputs // len(inputs)),
                strict=True,
            )
        ]
        if self.bias_codes.size:
            per_channel = ratios * (self.bias_codes.size if len(ratios) == 1 else 1)
            biases = [
                int(code) * ratio for code, ratio in zip(self.bias_codes, per_channel, strict=True)
            ]
        else:
            biases = fractions(self.bias) if self.bias.size else [Fraction(0)]
        return ratios, biases

    def bound(self, source: Tensor) -> int:
        """Largest |accumulator| without bias."""
        sums = np.abs(self.weight.astype(np.int64)).reshape(self.weight.shape[0], -1).sum(axis=1)
        return int(sums.max()) * source.largest_magnitude


def affine_input(call: Call) -> Codes | Unknown:
    """The input's codes: through the layer's own input quantiser where it has one."""
    value = quantized_input(call)
    return value if isinstance(value, Unknown) else codes_of(call, value)


def channel_input(call: Call, groups: int) -> tuple[str, npt.NDArray[np.float64]] | Unknown:
    """As `affine_input` for a convolution: the input's tensor, and its scales as in `Affine`.

    Every output reads the channels of one group, which may have a scale of their own.
    """
    value = quantized_input(call)
    if isinstance(value, Unknown):
        return value
    if not isinstance(value, ChannelCodes):
        return codes_of(call, value).tensor, np.zeros(0)
    scales = np.array(value.scales.values)
    if value.scales.axis != 1 or scales.size % groups:
        raise one_scale(call, value)
    by_group = scales.reshape(groups, -1)
    if (by_group != by_group[:, :1]).any():
        raise one_scale(call, value)
    return value.tensor, np.repeat(by_group[:, 0], call.module.out_channels // groups)


def read_affine(
    call: Call,
    source: Tensor,
    input_scales: npt.NDArray[np.float64] | None = None,
    *,
    transposed: bool = False,
) -> Affine:
    """Weights and bias of the call's module for an input `source`; refuses what has no exact integers.

    `input_scales` as in `Affine`, None where `source` has one. The weight of a `transposed` convolution is
    [in, out / groups, ...] in the module.
    """
    inputs = np.zeros(0) if input_scales is None else input_scales
    layer = call.single
    if not is_enabled(layer.weight_quant):
        reject(
            "its weights are not quantised",
            "give it a weight_quant (default Int8WeightPerTensorFloat)",
        )
    require_trained(layer, "weight", "bias")
    weights = read_weights(layer, call.module)
    codes, scale = weights.codes, weights.scale
    if transposed:
        codes = outputs_first(codes, layer.groups)
        # Channels of the same place in their groups share a scale.
        scale = np.tile(scale, layer.groups) if scale.size > 1 else scale
    if scale.size not in (1, len(codes)):
        reject(
            f"it has {scale.size} weight scales",
            "quantise weights per tensor or per output channel",
        )
    assert source.scale is not None
    unit = scale * (inputs if inputs.size else source.scale)
    bias_codes, bias = _read_bias(call, unit)
    return Affine(codes, scale, bias_codes, bias, inputs)


def _read_bias(
    call: Call, unit: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(codes, real values) as in `Affine`; `unit` [1 or out] is the real value of one step of the accumulator."""
    layer, none = call.single, np.zeros(0)
    if layer.bias is None:
        return none.astype(np.int64), none
    if not bool(torch.isfinite(layer.bias).all()):
        reject("its bias contains NaN or infinity", "train or load the model again")
    bias = layer.bias.detach().double()
    proxy = layer.bias_quant
    if not is_enabled(proxy):
        return none.astype(np.int64), bias.numpy()
    require_plain(proxy.tensor_quant, "its bias quantiser", _BIAS_QUANTIZERS)
    if not proxy.requires_input_scale:
        with torch.no_grad():
            quantized, trained = call.module.quant_bias(), layer.quant_bias()
        double, single = float(quantized.scale.max()), float(trained.scale.max())
        if not agree(double, single):
            reject(
                f"its bias has scale {single} in float32, {double} in float64",
                "use bias_quant=Int32Bias, or leave the bias float",
            )
        return none.astype(np.int64), quantized.value.numpy()
    with torch.no_grad():
        value, *_, bits = call.module.bias_quant.tensor_quant(bias, torch.from_numpy(unit))
    codes = np.rint(value.numpy() / unit)
    # Brevitas clamps in floating point, which lets 2**31 through.
    return np.minimum(codes, 2 ** (int(bits) - 1) - 1).astype(np.int64), none


def affine_result(
    call: Call,
    finish: Callable[[Quantizer], str],
    axis: int,
    expose: Callable[[Pointwise], str] | None = None,
    summed: Summed | None = None,
) -> Value:
    """What leaves the layer: a real value, or codes when the layer has an output quantiser; `axis`: the channels'."""
    axes = (axis % len(call.out_shape),)
    value = real_value(call, finish, axes=axes, expose=expose, summed=summed)
    output = quantizer_of(call, call.module.output_quant)
    return value if output is None else quantize(call, value, output)
