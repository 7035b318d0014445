"""N7: the functions are those of PyTorch, in float64, with PyTorch's own defaults and parameters."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ares.numerics import FUNCTIONS, Function, celu, clip, elu, leaky_relu, softplus

TorchFunction = Callable[[torch.Tensor], torch.Tensor]
PLAIN: dict[str, TorchFunction] = {
    "identity": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "mish": F.mish,
    "selu": F.selu,
    "softsign": F.softsign,
    "log_sigmoid": F.logsigmoid,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "softplus": F.softplus,
}
PARAMETERS: list[tuple[Function, TorchFunction]] = [
    (elu(0.3), lambda x: F.elu(x, 0.3)),
    (celu(1.0), F.celu),
    (celu(0.25), lambda x: F.celu(x, 0.25)),
    (celu(4.0), lambda x: F.celu(x, 4.0)),
    (leaky_relu(0.2), lambda x: F.leaky_relu(x, 0.2)),
    (softplus(2.0, 5.0), lambda x: F.softplus(x, 2.0, 5.0)),
    (clip(Fraction(0), Fraction(6)), F.relu6),
    (clip(Fraction(-1), Fraction(1)), F.hardtanh),
    (clip(Fraction(-0.3), None), lambda x: torch.clamp(x, min=-0.3)),
    (clip(None, Fraction(0.7)), lambda x: torch.clamp(x, max=0.7)),
]
CASES = [(FUNCTIONS[name], function) for name, function in PLAIN.items()] + PARAMETERS


def test_every_function_is_compared() -> None:
    assert set(PLAIN) == set(FUNCTIONS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].name)
def test_float64_of_torch(case: tuple[Function, TorchFunction]) -> None:
    function, of_torch = case
    draw = random.Random(4)
    points = [0.0, 0.5, -0.5, 3.0, -3.0, 6.0, 20.0, -20.0, 37.5, -37.5, *function.turning_points]
    points += [draw.uniform(-10, 10) for _ in range(300)]
    x = np.array(points)
    found, expected = function.evaluate(x), of_torch(torch.from_numpy(x)).numpy()
    # N7 is right to 2**-51 of the larger of argument and value; PyTorch's own formulas cancel a little more.
    assert np.all(np.abs(found - expected) <= np.maximum(np.abs(x), np.abs(found)) * 2.0**-49)
