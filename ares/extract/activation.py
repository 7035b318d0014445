"""Activations without an operation of their own name: part of the operation before, or a table on codes."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

from ares.extract._call import Call
from ares.extract._elementwise import apply_function, each_channel
from ares.extract._findings import reject
from ares.extract._functions import Unary, add_row
from ares.extract._registry import on_function, on_module
from ares.extract._unary import number, unary
from ares.extract._values import Value, array_of
from ares.numerics import FUNCTIONS, IDENTITY, Function, celu, clip, elu, leaky_relu, softplus
from ares.ops.activation import Activation


def _elu(alpha: Any, scale: Any = 1, input_scale: Any = 1) -> Function:
    if scale != 1 or input_scale != 1:
        reject("ELU with a scale", "use F.elu(x, alpha)")
    return elu(number(alpha, "ELU with alpha"))


def _celu(alpha: Any) -> Function:
    if not number(alpha, "CELU with alpha") > 0.0:
        reject(f"CELU with alpha {alpha!r}", "give a positive alpha")
    return celu(float(alpha))


def _leaky_relu(slope: Any) -> Function:
    return leaky_relu(number(slope, "LeakyReLU with slope"))


def _softplus(beta: Any, threshold: Any) -> Function:
    try:
        return softplus(
            number(beta, "Softplus with beta"), number(threshold, "Softplus with threshold")
        )
    except ValueError as error:
        return reject(str(error), "use a beta other than 0 and a threshold of at most 700")


def _clip(lo: Any, hi: Any) -> Function:
    smallest, largest = (
        None if end is None else Fraction(number(end, "clamp to")) for end in (lo, hi)
    )
    if smallest is not None and largest is not None and smallest > largest:
        reject(f"clamp to {lo!r}..{hi!r}, which is empty", "give the smaller number first")
    return clip(smallest, largest)


for _name, _module in (
    ("sigmoid", nn.Sigmoid),
    ("tanh", nn.Tanh),
    ("hardswish", nn.Hardswish),
    ("hardsigmoid", nn.Hardsigmoid),
    ("mish", nn.Mish),
    ("selu", nn.SELU),
    ("softsign", nn.Softsign),
):
    unary(Activation, FUNCTIONS[_name], (_module,), (_name,))
unary(Activation, FUNCTIONS["log_sigmoid"], (nn.LogSigmoid,), ("logsigmoid", "log_sigmoid"))
unary(Activation, _elu, (nn.ELU,), (), ("alpha", 1.0))
unary(Activation, _elu, (), ("elu",), ("alpha", 1.0), ("scale", 1), ("input_scale", 1))
unary(Activation, _celu, (nn.CELU,), ("celu",), ("alpha", 1.0))
unary(Activation, _leaky_relu, (nn.LeakyReLU,), ("leaky_relu",), ("negative_slope", 0.01))
unary(Activation, _softplus, (nn.Softplus,), ("softplus",), ("beta", 1.0), ("threshold", 20.0))
_LIMITS = (("min_val", -1.0), ("max_val", 1.0))
unary(Activation, _clip, (nn.Hardtanh, nn.ReLU6), ("hardtanh",), *_LIMITS)
unary(Activation, lambda: _clip(0, 6), (), ("relu6",))
unary(Activation, _clip, (), ("clamp",), ("min", None), ("max", None))
unary(Activation, lambda lo: _clip(lo, None), (), ("clamp_min",), ("min", None))
unary(Activation, lambda hi: _clip(None, hi), (), ("clamp_max",), ("max", None))
unary(Activation, lambda: leaky_relu(-1.0), (), ("abs", "absolute"))
unary(Activation, IDENTITY, (nn.Identity,), ())


def _one_slope(weight: torch.Tensor) -> Function:
    """PReLU inside a Brevitas activation layer."""
    if weight.numel() != 1:
        reject(
            f"it applies PReLU with {weight.numel()} slopes before it quantises",
            "use nn.PReLU, and a QuantIdentity after it",
        )
    return leaky_relu(number(float(weight.detach()), "PReLU with slope"))


add_row((nn.PReLU,), Unary(Activation, _one_slope, (("weight", None),)))


@on_module(nn.PReLU)
@on_function("prelu")
def prelu(call: Call) -> Value:
    slopes = array_of(call.setting("weight", 1))
    if slopes is None or not np.isfinite(slopes).all():
        reject("its slopes are no finite constants", "make them a parameter, train or load it")
    functions = [leaky_relu(float(slope)) for slope in slopes.reshape(-1)]
    if len(functions) == 1:
        return apply_function(call, functions[0], Activation)
    return each_channel(call, functions, axis=1)
