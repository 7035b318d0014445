"""Functions of one code: out = clamp(round(f((x - z_in) * s_in) / s_out + z_out))."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from vectors.oracle import reals
from vectors.oracle.rounding import binary32, clamped, half_even, half_up, wrapped

Case = dict[str, Any]
Codes = list[int]


def _gelu(x: Fraction) -> Fraction:
    return x * (1 + reals.erf(x / reals.root(Fraction(2)))) / 2


def _gelu_tanh(x: Fraction) -> Fraction:
    inner = reals.root(2 / reals.PI) * (x + Fraction(44715, 10**6) * x**3)
    return x * (1 + reals.tanh(inner)) / 2


def _hardsigmoid(x: Fraction) -> Fraction:
    return min(max(x / 6 + Fraction(1, 2), Fraction(0)), Fraction(1))


FUNCTIONS: Mapping[str, Callable[[Fraction], Fraction]] = {
    "sigmoid": reals.sigmoid,
    "tanh": reals.tanh,
    "silu": lambda x: x * reals.sigmoid(x),
    "gelu": _gelu,
    "hardswish": lambda x: x * _hardsigmoid(x),
    "relu": lambda x: max(x, Fraction(0)),
}
_OTHER: Mapping[str, Callable[[Fraction], Fraction]] = {
    **FUNCTIONS,
    "gelu_tanh": _gelu_tanh,
    "gelu by a sigmoid": lambda x: x * reals.sigmoid(Fraction(1702, 1000) * x),
    "hardsigmoid": _hardsigmoid,
}


@cache
def _value(function: str, x: Fraction) -> Fraction:
    return _OTHER[function](x)


def table(
    case: Mapping[str, Any],
    rounds: Callable[[Fraction], int] = half_even,
    function: str = "",
    step: Callable[[int], Fraction] = Fraction,
) -> Codes:
    """The code of each input."""
    scale, out = Fraction(case["input_scale"]), Fraction(case["output_scale"])
    found = []
    for code in case["input"]:
        x = step(code - case["input_zero_point"]) * scale
        real = _value(function or case["function"], x) / out
        found.append(clamped(rounds(real + case["output_zero_point"]), case))
    return found


def _interpolated(case: Mapping[str, Any]) -> Codes:
    """Between entries that lie eight codes apart."""
    found = []
    for code in case["input"]:
        low = code - code % 8
        ends = [table({**case, "input": [each]})[0] for each in (low, low + 8)]
        found.append(half_up(ends[0] + Fraction((ends[1] - ends[0]) * (code - low), 8)))
    return [clamped(each, case) for each in found]


def after_rounding(case: Mapping[str, Any]) -> Codes:
    """The zero point added to what is rounded, as ONNX says."""
    zero = case["output_zero_point"]
    return table(case, lambda real: half_even(real - zero) + zero)


FAULTS: Mapping[str, tuple[str, Callable[[Case], Codes]]] = {
    "half up": ("ties go to the larger code", lambda c: table(c, half_up)),
    "truncated": ("a cast to an integer", lambda c: table(c, math.trunc)),
    "rounded down": ("a shift", lambda c: table(c, math.floor)),
    "index of u8": (
        "s8 codes index the table as u8",
        lambda c: table({**c, "input": [wrapped(x + 128, 8) for x in c["input"]]}),
    ),
    "interpolated": ("a table of fewer entries", _interpolated),
    "another gelu": (
        "by tanh for erf",
        lambda c: table(c, function="gelu_tanh" if c["function"] == "gelu" else ""),
    ),
    "gelu by a sigmoid": (
        "x * sigmoid(1.702 x)",
        lambda c: table(c, function="gelu by a sigmoid" if c["function"] == "gelu" else ""),
    ),
    "hard for soft": (
        "a piecewise linear sigmoid",
        lambda c: table(
            c, function={"sigmoid": "hardsigmoid", "silu": "hardswish"}.get(c["function"], "")
        ),
    ),
}


def draw(rng: random.Random, _fault: str) -> Case:
    """One case: a few codes of one function."""
    return {
        "function": rng.choice([*FUNCTIONS]),
        "input": [rng.choice((-128, 127, 0, rng.randint(-128, 127))) for _ in range(5)],
        "input_scale": rng.choice((1 / 16, 1 / 32, binary32(rng.uniform(0.01, 0.1)))),
        "input_zero_point": rng.choice((0, rng.randint(-20, 20))),
        "output_scale": rng.choice((1 / 128, 1 / 64, binary32(rng.uniform(0.005, 0.03)))),
        "output_zero_point": rng.choice((0, -128, rng.randint(-128, 127))),
        "lo": -128,
        "hi": 127,
    }
