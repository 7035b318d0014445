"""Counter-based initial weights: each parameter depends on the network's and its own name only.

Every value is the float32 rounding of one float64 product of an exact random unit and a bound made of
correctly rounded operations, so all machines agree to the last bit. Bounds: convolution and linear
sqrt(6 / fan_in) (He, uniform), biases 1 / sqrt(fan_in); norms: weights 0.5 .. 1.5, biases -0.25 .. 0.25.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ares.zoo.philox import signed_units

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_QUANTIZERS = ("brevitas.core.", "brevitas.proxy.")


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
            for name, parameter in module.named_parameters(recurse=False):
                centre, bound = _range(module, name, prefix + name)
                _fill(parameter, f"{network}/{prefix}{name}", centre, bound)
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
                assert module.running_mean is not None
                assert module.running_var is not None
                _fill(module.running_mean, f"{network}/{prefix}running_mean", 0.0, 0.25)
                _fill(module.running_var, f"{network}/{prefix}running_var", 1.0, 0.5)


def _range(module: nn.Module, name: str, path: str) -> tuple[float, float]:
    """Centre and half-width of the interval that the parameter's values are drawn from."""
    if isinstance(module, _LAYERS) and name in ("weight", "bias"):
        fan_in = module.weight[0].numel()
        return 0.0, math.sqrt(6 / fan_in) if name == "weight" else math.sqrt(1 / fan_in)
    if isinstance(module, _NORMS) and name in ("weight", "bias"):
        return (1.0, 0.5) if name == "weight" else (0.0, 0.25)
    raise ValueError(
        f"parameter {path!r} of {type(module).__name__} has no default initial value; "
        "define initialise(model) in the network's file"
    )


def _fill(tensor: torch.Tensor, key: str, centre: float, bound: float) -> None:
    values = (centre + bound * signed_units(key, tensor.numel())).astype(np.float32)
    tensor.copy_(torch.from_numpy(values.reshape(tuple(tensor.shape))))
