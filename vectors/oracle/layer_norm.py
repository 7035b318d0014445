"""Rows less their mean, over their deviation: out = clamp(round((g * d / sqrt(mean of d^2 + eps) + b) / s_out + z))."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from vectors.oracle import reals
from vectors.oracle.rounding import binary32, clamped, half_even

Case = dict[str, Any]
Codes = list[int]


def norm(
    case: Mapping[str, Any],
    rounds: Callable[[Fraction], int] = half_even,
    mean_of: Callable[[Fraction], Fraction] = lambda mean: mean,
    count: int = 0,
    *,
    is_eps_outside: bool = False,
    is_centred: bool = True,
) -> Codes:
    """The code of each element."""
    scale, out = Fraction(case["input_scale"]), Fraction(case["output_scale"])
    values = [Fraction(code - case["input_zero_point"]) for code in case["input"]]
    mean = mean_of(sum(values, Fraction(0)) / len(values)) if is_centred else Fraction(0)
    off = [(each - mean) * scale for each in values]
    variance = sum((each * each for each in off), Fraction(0)) / (count or len(values))
    epsilon = Fraction(case["epsilon"])
    deviation = reals.root(variance) + epsilon if is_eps_outside else reals.root(variance + epsilon)
    found = []
    for each, gamma, beta in zip(off, case["gamma"], case["beta"], strict=True):
        real = (Fraction(gamma) * each / deviation + Fraction(beta)) / out
        found.append(clamped(rounds(real + case["output_zero_point"]), case))
    return found


def after_rounding(case: Mapping[str, Any]) -> Codes:
    """The zero point added to what is rounded, as ONNX says."""
    zero = case["output_zero_point"]
    return norm(case, lambda real: half_even(real - zero) + zero)


FAULTS: Mapping[str, tuple[str, Callable[[Case], Codes]]] = {
    "truncated": ("a cast to an integer", lambda c: norm(c, math.trunc)),
    "mean rounded": (
        "to a code, before it is taken off",
        lambda c: norm(c, mean_of=lambda m: Fraction(half_even(m))),
    ),
    "n - 1": ("the sample's variance", lambda c: norm(c, count=len(c["input"]) - 1)),
    "epsilon outside": ("added to the root", lambda c: norm(c, is_eps_outside=True)),
    "no epsilon": ("left out", lambda c: norm({**c, "epsilon": 1e-30})),
    "not centred": ("the mean stays", lambda c: norm(c, is_centred=False)),
    "no beta": ("left out", lambda c: norm({**c, "beta": [0.0] * len(c["beta"])})),
}


def draw(rng: random.Random, _fault: str) -> Case:
    """One case: a short row with gamma and beta."""
    count = rng.choice((2, 3, 5, 8))
    wide = rng.random() < 0.6
    low, high = (-128, 127) if wide else (-2, 2)
    return {
        "input": [rng.randint(low, high) for _ in range(count)],
        "input_scale": rng.choice((1 / 32, binary32(rng.uniform(0.001, 0.1)))),
        "input_zero_point": rng.choice((0, rng.randint(-20, 20))),
        "gamma": [binary32(rng.uniform(-2, 2)) for _ in range(count)],
        "beta": [binary32(rng.uniform(-1, 1)) for _ in range(count)],
        "epsilon": binary32(rng.choice((1e-5, 1e-3))),
        "output_scale": binary32(rng.uniform(0.01, 0.05)),
        "output_zero_point": rng.choice((0, rng.randint(-20, 20))),
        "lo": -128,
        "hi": 127,
    }
