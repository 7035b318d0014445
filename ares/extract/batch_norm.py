"""BatchNorm in evaluation mode: a factor and an offset for each channel, which join the layer before it.

Behind a convolution or linear layer they are part of its one rounding, and its trained integer weights stay as they
are. On codes (pre-activation networks, Brevitas' QuantScaleBias) they are an operation of their own.
"""

from __future__ import annotations

import brevitas.nn as qnn
import numpy as np
from torch import nn

from ares.extract._call import Call
from ares.extract._codes import quantize, quantized_input, quantizer_of
from ares.extract._elementwise import apply_arithmetic
from ares.extract._findings import Unmappable, reject
from ares.extract._migration import advice
from ares.extract._quantizers import is_enabled
from ares.extract._registry import on_function, on_module
from ares.extract._values import QUANTISE_BOTH, Real, Step, Unknown, Value, array_of
from ares.extract._weights import read_weights

_STATE = ("running_mean", "running_var", "weight", "bias")


@on_module(nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
@on_function("batch_norm")
def batch_norm(call: Call) -> Value:
    if call.setting("training", 5, False):
        reject("it computes its statistics from the batch", "say training=self.training")
    if isinstance(call.x, Unknown):
        return call.x
    # torch.batch_norm has another order than F.batch_norm, and an argument more.
    is_torch_s = len(call.args) == 9 or "cudnn_enabled" in call.kwargs
    order = _STATE[2:] + _STATE[:2] if is_torch_s else _STATE
    mean, variance, weight, bias = (
        array_of(call.setting(name, 1 + order.index(name))) for name in _STATE
    )
    eps = call.setting("eps", 7, 1e-5)
    if mean is None or variance is None:
        reject(
            "it computes its statistics from the batch, also in evaluation mode",
            "use track_running_stats=True, and train or load its statistics",
        )
    shape = call.shape_of("input", 0)
    if len(shape) < 2 or shape[1] != mean.size:
        reject(f"it has {mean.size} channels, its input has shape {list(shape)}")
    for name, values in (("weight", weight), ("bias", bias), ("running_mean", mean)):
        if values is not None and not np.isfinite(values).all():
            reject(f"its {name} contains NaN or infinity", "train or load the model again")
    if not (variance + eps > 0.0).all():
        reject(
            f"its running_var + eps is {float((variance + eps).min()):g}, expected positive numbers",
            "train or load its statistics, and use a positive eps",
        )
    factors = (1.0 if weight is None else weight) / np.sqrt(variance + eps)
    addends = (0.0 if bias is None else bias) - mean * factors
    axis = (1, -1, *(1,) * (len(shape) - 2))
    steps = Step("mul", factors.reshape(axis)), Step("add", addends.reshape(axis))
    try:
        value = apply_arithmetic(call, call.x, shape, *steps)
        # Untrained it is one factor for all channels, by which codes would be codes: not for long.
        return value.changed(regrid=None) if isinstance(value, Real) else value
    except Unmappable as error:
        if isinstance(call.x, Real) and error.suggestion in (QUANTISE_BOTH, call.x.advice):
            reject(error.reason, advice(call.layer_type))
        raise


@on_module(
    qnn.QuantScaleBias,
    qnn.BatchNorm1dToQuantScaleBias,
    qnn.BatchNorm2dToQuantScaleBias,
)
def quant_scale_bias(call: Call) -> Value:
    value = quantized_input(call)
    if isinstance(value, Unknown):
        return value
    layer = call.single
    if is_enabled(layer.bias_quant):
        reject("its bias is quantised", "leave its bias float: bias_quant=None")
    shape = tuple(layer.runtime_shape)
    if is_enabled(layer.weight_quant):
        weights = read_weights(layer)
        factors = weights.codes.astype(np.float64).reshape(-1) * weights.scale
    else:
        factors = layer.weight.detach().double().numpy().reshape(-1)
    addends = layer.bias.detach().double().numpy().reshape(-1)
    steps = Step("mul", factors.reshape(shape)), Step("add", addends.reshape(shape))
    result = apply_arithmetic(call, value, call.shape_of("input", 0), *steps)
    output = quantizer_of(call, call.module.output_quant)
    return result if output is None else quantize(call, result, output)
