"""Sigmoid, Tanh, ELU, Hardswish, LeakyReLU, Softplus: part of the operation before, or a table on codes."""

from __future__ import annotations

import math

import brevitas.nn as qnn
from torch import nn

from ares.extract._call import Call
from ares.extract._elementwise import apply_function
from ares.extract._findings import reject
from ares.extract._registry import on_function, on_module
from ares.extract._values import Codes, Unknown, Value
from ares.numerics import FUNCTIONS, IDENTITY, RELU, Function, elu, leaky_relu, softplus
from ares.ops.activation import Activation

_PLAIN = {
    nn.Sigmoid: FUNCTIONS["sigmoid"],
    nn.Tanh: FUNCTIONS["tanh"],
    nn.Hardswish: FUNCTIONS["hardswish"],
    qnn.QuantSigmoid: FUNCTIONS["sigmoid"],
    qnn.QuantTanh: FUNCTIONS["tanh"],
    qnn.QuantHardSwish: FUNCTIONS["hardswish"],
}


@on_module(nn.Sigmoid, nn.Tanh, nn.Hardswish)
def plain_module(call: Call) -> Value:
    return apply_function(call, _plain(call), Activation)


@on_function("sigmoid", "tanh", "hardswish")
def plain_function(call: Call) -> Value:
    return apply_function(call, FUNCTIONS[call.node.function], Activation)


@on_module(qnn.QuantSigmoid, qnn.QuantTanh, qnn.QuantHardSwish)
def quant_activation(call: Call) -> Value:
    value = call.quantized_input()
    if isinstance(value, Unknown):
        return value
    quantizer = call.quantizer(call.module.act_quant)
    if quantizer is None:
        return apply_function(call, _plain(call), Activation, value)
    # A quantiser that is shared with another module does what its first owner's activation says.
    if isinstance(value, Codes) and quantizer.function not in (IDENTITY, RELU):
        value = apply_function(call, quantizer.function, Activation, value)
        quantizer = quantizer.with_function(IDENTITY)
    return call.quantize(value, quantizer)


@on_module(nn.ELU)
def elu_module(call: Call) -> Value:
    return apply_function(call, _elu(call.module.alpha), Activation)


@on_function("elu")
def elu_function(call: Call) -> Value:
    if call.argument(2, "scale", 1) != 1 or call.argument(3, "input_scale", 1) != 1:
        reject("ELU with a scale", "use F.elu(x, alpha)")
    return apply_function(call, _elu(call.argument(1, "alpha", 1.0)), Activation)


@on_module(nn.LeakyReLU)
def leaky_relu_module(call: Call) -> Value:
    return apply_function(call, _leaky_relu(call.module.negative_slope), Activation)


@on_function("leaky_relu")
def leaky_relu_function(call: Call) -> Value:
    return apply_function(call, _leaky_relu(call.argument(1, "negative_slope", 0.01)), Activation)


@on_module(nn.Softplus)
def softplus_module(call: Call) -> Value:
    return apply_function(call, _softplus(call.module.beta, call.module.threshold), Activation)


@on_function("softplus")
def softplus_function(call: Call) -> Value:
    beta, threshold = call.argument(1, "beta", 1.0), call.argument(2, "threshold", 20.0)
    return apply_function(call, _softplus(beta, threshold), Activation)


def _plain(call: Call) -> Function:
    return next(f for cls, f in _PLAIN.items() if isinstance(call.module, cls))


def _elu(alpha: float) -> Function:
    return elu(_number(alpha, "ELU with alpha"))


def _leaky_relu(slope: float) -> Function:
    return leaky_relu(_number(slope, "LeakyReLU with slope"))


def _softplus(beta: float, threshold: float) -> Function:
    try:
        return softplus(
            _number(beta, "Softplus with beta"), _number(threshold, "Softplus with threshold")
        )
    except ValueError as error:
        return reject(str(error), "use a beta other than 0 and a threshold of at most 700")


def _number(value: object, what: str) -> float:
    """A parameter as a number; refuses tensors and what is not finite."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        reject(f"{what} {value!r}", "give a finite Python number")
    return float(value)
