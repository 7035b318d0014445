"""Activations, on codes or on real values, and the real values that layers make."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from ares.fuzzer.laying import Laying, Value


def behind(laying: Laying, kind: str, inputs: tuple[int, ...], size: float, **options: Any) -> int:
    """A layer that makes real values of codes."""
    return laying.add_options(kind, inputs, Value((), size), options)


_CENTRED = (
    "gelu",
    "gelu_tanh",
    "silu",
    "hardswish",
    "mish",
    "softplus",
    "sigmoid",
    "tanh",
    "hardsigmoid",
    "selu",
    "softsign",
    "log_sigmoid",
    "elu",
    "celu",
    "leaky_relu",
    "relu",
    "relu6",
    "hardtanh",
    "clamp",
    "abs",
)
_POSITIVE = ("relu", "relu6", "sigmoid", "hardsigmoid", "softplus", "abs")


def unary_node(laying: Laying, x: int) -> int:
    """An activation, on codes or on real values."""
    draws, known = laying.draws, laying.values[x]
    if draws.chance(8) and len(known.shape) >= 2:
        return behind(laying, "prelu", (x,), known.size, per_channel=draws.chance(50))
    name = draws.choice(_CENTRED)
    bounded = {
        "sigmoid": 0.5,
        "tanh": 1.0,
        "hardsigmoid": 0.5,
        "softsign": 1.0,
        "clamp": 1.5,
        "hardtanh": 0.6,
    }
    size = min(known.size, bounded.get(name, math.inf))
    size = max(size, 0.7) if name in ("softplus", "log_sigmoid") else size
    result = behind(laying, "unary", (x,), size, function=name, module=draws.chance(50))
    laying.values[-1] = replace(laying.values[-1], positive=name in _POSITIVE)
    return result
