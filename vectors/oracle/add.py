"""Sums of two tensors."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from vectors.oracle.rounding import (
    binary32,
    clamped,
    half_away,
    half_even,
    half_up,
    high_multiply,
    quantized_multiplier,
    wrapped,
    wraps,
)

Case = dict[str, Any]
Codes = list[int]


# Sums: out = clamp(round((a - z_a) * s_a / s_out + (b - z_b) * s_b / s_out + z_out)).


def _terms(case: Mapping[str, Any], place: int) -> list[Fraction]:
    return [
        (codes[place] - zero) * Fraction(scale) / Fraction(case["output_scale"])
        for codes, zero, scale in zip(
            case["inputs"], case["input_zero_points"], case["input_scales"], strict=True
        )
    ]


def _sum(case: Mapping[str, Any], finish: Callable[[list[Fraction], int], int]) -> Codes:
    zero = case["output_zero_point"]
    return [
        clamped(finish(_terms(case, place), zero), case) for place in range(len(case["inputs"][0]))
    ]


def right(case: Mapping[str, Any]) -> Codes:
    """The code of each sum."""
    return _sum(case, lambda terms, zero: half_even(sum(terms) + zero))


def after_rounding(case: Mapping[str, Any]) -> Codes:
    """The zero point added to what is rounded, as ONNX says."""
    return _sum(case, lambda terms, zero: half_even(sum(terms)) + zero)


def _shifted_sum(case: Mapping[str, Any]) -> Codes:
    """Both addends rounded to 2^-20 of twice the larger scale first, as TensorFlow Lite's reference adds."""
    top = 2 * max(map(Fraction, case["input_scales"]))
    out = Fraction(case["output_scale"])
    found = []
    for place in range(len(case["inputs"][0])):
        total = 0
        for codes, zero, scale in zip(
            case["inputs"], case["input_zero_points"], case["input_scales"], strict=True
        ):
            multiplier, exponent = quantized_multiplier(Fraction(scale) / top)
            high = high_multiply(((codes[place] - zero) << 20), multiplier)
            total += half_away(Fraction(high, 1 << max(-exponent, 0)))
        multiplier, exponent = quantized_multiplier(top / 2**20 / out)
        high = high_multiply(wrapped(total << max(exponent, 0), 32), multiplier)
        found.append(
            clamped(
                half_away(Fraction(high, 1 << max(-exponent, 0))) + case["output_zero_point"], case
            )
        )
    return found


# Limits that no sum comes to.
_FAR = {"lo": -(2**20), "hi": 2**20}
FAULTS: Mapping[str, tuple[str, Callable[[Case], Codes]]] = {
    "half up": ("ties go to the larger code", lambda c: _sum(c, lambda t, z: half_up(sum(t) + z))),
    "half away": ("ties go away from zero", lambda c: _sum(c, lambda t, z: half_away(sum(t)) + z)),
    "rounded down": (
        "a shift without rounding",
        lambda c: _sum(c, lambda t, z: math.floor(sum(t)) + z),
    ),
    "addends rounded first": (
        "each to codes of the output",
        lambda c: _sum(c, lambda t, z: sum(map(half_even, t)) + z),
    ),
    "twenty bits": ("addends rounded to 2^-20, then the sum", _shifted_sum),
    "zero point after rounding": ("ties with an odd zero point", after_rounding),
    "one scale for both": (
        "the first one's",
        lambda c: right({**c, "input_scales": c["input_scales"][:1] * 2}),
    ),
    "wraps": (
        "no clamp",
        lambda c: _sum({**c, **_FAR}, lambda t, z: wraps(half_even(sum(t) + z), c)),
    ),
}


def draw(rng: random.Random, _fault: str) -> Case:
    """One case: half of them on grids that meet ties."""
    count = rng.choice((1, 3, 5))
    is_dyadic = rng.random() < 0.6
    scale = (
        (lambda: 2.0 ** rng.randint(-6, 0))
        if is_dyadic
        else (lambda: binary32(2.0 ** rng.uniform(-6, 0)))
    )
    return {
        "inputs": [
            [rng.choice((-128, 127, rng.randint(-128, 127))) for _ in range(count)]
            for _ in range(2)
        ],
        "input_scales": [scale(), scale()],
        "input_zero_points": [rng.choice((0, rng.randint(-128, 127))) for _ in range(2)],
        "output_scale": scale(),
        "output_zero_point": rng.choice((0, rng.randint(-128, 127))),
        "lo": -128,
        "hi": 127,
    }
