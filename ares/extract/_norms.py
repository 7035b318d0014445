"""What the normalisations share: parameters as exact rationals, and one operation when the quantiser is met."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import nn

from ares.extract._call import Call
from ares.extract._codes import codes_of
from ares.extract._findings import reject
from ares.extract._quantizers import Quantizer
from ares.extract._rescaling import fractions, real_value
from ares.extract._values import Constant, Unknown, Value
from ares.numerics import NumericsError, plan_norm
from ares.ops._norms import NormOperation


def normalised(
    call: Call,
    operation: type[NormOperation],
    weight: Any,
    bias: Any,
    epsilon: float | None,
    count: int,
    **parameters: Any,
) -> Value:
    """The call's first argument normalised over `count` values; `parameters` are the operation's own."""
    value = call.x
    if isinstance(value, Unknown):
        return value
    source = codes_of(call, value)
    tensor = call.tensor(source)
    gammas = _affine("weight", weight, Fraction(1))
    betas = _affine("bias", bias, Fraction(0))
    if epsilon is None:
        reject(
            "its eps is None, which means another number in float32 than in float64",
            "give it, for example eps=1e-5 (ares.nn.RMSNorm has that)",
        )
    if not (math.isfinite(epsilon) and epsilon > 0.0):
        reject(
            f"its eps is {epsilon:g}: equal values would be divided by zero",
            "use a positive eps, for example 1e-5",
        )

    def finish(quantizer: Quantizer) -> str:
        try:
            shift, offset, rescale = plan_norm(
                quantizer.function,
                gammas,
                betas,
                Fraction(epsilon),
                tensor,
                quantizer.tensor(),
                count,
                operation.IS_CENTRED,
            )
        except NumericsError as error:
            raise call.fault(str(error), "check its parameters and the scales around it") from None
        return call.add(
            operation,
            (source.tensor,),
            quantizer,
            variance_shift=shift,
            variance_offset=offset,
            rescale=rescale,
            **parameters,
        )

    return real_value(call, finish)


def trailing(
    call: Call,
    operation: type[NormOperation],
    shape: Any,
    weight: Any,
    bias: Any,
    epsilon: float | None,
) -> Value:
    """Over the last axes, whose sizes are `shape`."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if len(sizes) >= len(call.out_shape):
        reject("it normalises over the batch", "normalise over the last axes only")
    return normalised(call, operation, weight, bias, epsilon, math.prod(sizes), axes=len(sizes))


def _affine(name: str, value: Any, default: Fraction) -> list[Fraction]:
    """Exact values of a parameter, of a module or handed to a function."""
    if value is None:
        return [default]
    array = value.array if isinstance(value, Constant) else None
    if isinstance(value, nn.Parameter):
        with torch.no_grad():
            array = value.double().numpy()
    if array is None:
        reject(
            f"its {name} is computed anew at every call",
            f"make it a parameter, for example torch.nn.utils.prune.remove(layer, '{name}')",
        )
    if not np.isfinite(array).all():
        reject(f"its {name} contains NaN or infinity", "train or load the model again")
    return fractions(array)
