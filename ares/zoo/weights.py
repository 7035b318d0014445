"""Counter-based initial weights: each parameter depends on the network's and its own name only.

Every value is the float32 rounding of one float64 product of an exact random unit and a bound made of
correctly rounded operations, so all machines agree to the last bit. Bounds: convolution and linear
sqrt(6 / fan_in) (He, uniform), biases 1 / sqrt(fan_in), where a transposed convolution counts the products that an
output has on average; norms: weights 0.5 .. 1.5, biases -0.25 .. 0.25;
embeddings, position tables and learned queries 1. State spaces start as published: their projections, and those
that leave a Mamba block, 1 / sqrt(fan_in), A_log[d, n] = ln(n + 1), D = 1, the bias of dt such that softplus of it is
10^-3 .. 10^-1, evenly in its logarithm; decimal arithmetic rounds these rightly.
"""

from __future__ import annotations

import decimal
import math
from decimal import Decimal

import numpy as np
import torch
from torch import nn

from ares.nn.leaves.scan import SelectiveScan
from ares.nn.mamba import QuantMambaBlock, QuantSSM
from ares.zoo.philox import signed_units

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d)
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_QUANTIZERS = ("brevitas.core.", "brevitas.proxy.")
# Parameters of any module that are called so, with a first axis of one: [1, positions, features].
_TABLES = ("table", "queries")
_DIGITS = decimal.Context(prec=30)


def initialise(model: nn.Module, network: str) -> None:
    """Sets the weights and biases of `model`, named `network`, in place.

    BatchNorms also get statistics: mean -0.25 .. 0.25, variance 0.5 .. 1.5. Quantisers are left alone.
    Raises ValueError for a parameter of a module it does not know: such a network defines its own
    `initialise(model)`.
    """
    with torch.no_grad():
        for path, module in model.named_modules():
            if type(module).__module__.startswith(_QUANTIZERS):
                continue
            prefix = f"{path}." if path else ""
            if isinstance(module, SelectiveScan):
                continue  # with the state space that it is part of
            for name, parameter in module.named_parameters(recurse=False):
                centre, bound = _range(module, name, parameter, prefix + name)
                _fill(parameter, f"{network}/{prefix}{name}", centre, bound)
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
                assert module.running_mean is not None
                assert module.running_var is not None
                _fill(module.running_mean, f"{network}/{prefix}running_mean", 0.0, 0.25)
                _fill(module.running_var, f"{network}/{prefix}running_var", 1.0, 0.5)
        for path, module in model.named_modules():
            # After their parts, which are layers like any other.
            key = f"{network}/{path}.".replace("/.", "/")
            if isinstance(module, QuantSSM):
                _start_state_space(module, key)
            if isinstance(module, QuantMambaBlock):
                _start_projection(module.out_proj.weight, f"{key}out_proj")


def _range(module: nn.Module, name: str, parameter: nn.Parameter, path: str) -> tuple[float, float]:
    """Centre and half-width of the interval that the parameter's values are drawn from."""
    if isinstance(module, (*_LAYERS, *_TRANSPOSED)) and name in ("weight", "bias"):
        fan_in = float(module.weight[0].numel())
        if isinstance(module, _TRANSPOSED):
            inputs, _, *kernel = module.weight.shape
            fan_in = inputs * math.prod(kernel) / (module.groups * math.prod(module.stride))
        return 0.0, math.sqrt(6 / fan_in) if name == "weight" else math.sqrt(1 / fan_in)
    if isinstance(module, _NORMS) and name in ("weight", "bias"):
        return (1.0, 0.5) if name == "weight" else (0.0, 0.25)
    if isinstance(module, nn.Embedding) and name == "weight":
        return 0.0, 1.0
    if name in _TABLES and len(parameter.shape) > 2 and parameter.shape[0] == 1:
        return 0.0, 1.0
    raise ValueError(
        f"parameter {path!r} of {type(module).__name__} has no default initial value; "
        "define initialise(model) in the network's file"
    )


def _fill(tensor: torch.Tensor, key: str, centre: float, bound: float) -> None:
    values = (centre + bound * signed_units(key, tensor.numel())).astype(np.float32)
    tensor.copy_(torch.from_numpy(values.reshape(tuple(tensor.shape))))


def _start_state_space(ssm: QuantSSM, key: str) -> None:
    states = ssm.y.A_log.shape[1]
    logarithms = [float(_DIGITS.ln(Decimal(n + 1))) for n in range(states)]
    ssm.y.A_log.copy_(torch.tensor(logarithms).expand_as(ssm.y.A_log))
    ssm.y.D.fill_(1.0)
    for name in ("dt_low", "B", "C", "dt"):
        _start_projection(getattr(ssm, name).weight, f"{key}{name}")
    bias = ssm.dt.bias
    units = signed_units(f"{key}dt.bias", bias.numel())
    bias.copy_(torch.tensor([_inverse_softplus_of_power(float(unit) - 2.0) for unit in units]))


def _start_projection(weight: torch.Tensor, key: str) -> None:
    _fill(weight, f"{key}.weight", 0.0, math.sqrt(1 / weight[0].numel()))


def _inverse_softplus_of_power(exponent: float) -> float:
    """ln(e^x - 1) for x = 10^exponent."""
    x = _DIGITS.power(Decimal(10), Decimal(exponent))
    return float(_DIGITS.ln(_DIGITS.subtract(_DIGITS.exp(x), Decimal(1))))
