"""Means."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from vectors.oracle.rounding import binary32, clamped, half_away, half_even, half_up

Case = dict[str, Any]
Codes = list[int]


# Means: out = clamp(round(sum of (x - z_in) / n * s_in / s_out + z_out)).


def _mean(case: Mapping[str, Any], finish: Callable[[Fraction, int], int], count: int = 0) -> Codes:
    total = sum(x - case["input_zero_point"] for x in case["input"])
    ratio = Fraction(case["input_scale"]) / Fraction(case["output_scale"])
    mean = Fraction(total, count or len(case["input"])) * ratio
    return [clamped(finish(mean, case["output_zero_point"]), case)]


def right(case: Mapping[str, Any]) -> Codes:
    """The code of the mean."""
    return _mean(case, lambda mean, zero: half_even(mean + zero))


def after_rounding(case: Mapping[str, Any]) -> Codes:
    """The zero point added to what is rounded, as ONNX says."""
    return _mean(case, lambda mean, zero: half_even(mean) + zero)


def _mean_of_codes(case: Mapping[str, Any], rounds: Callable[[Fraction], int]) -> Codes:
    """The mean of the codes themselves is rounded, then rescaled."""
    ratio = Fraction(case["input_scale"]) / Fraction(case["output_scale"])
    mean = rounds(Fraction(sum(case["input"]), len(case["input"]))) - case["input_zero_point"]
    return [clamped(half_even(mean * ratio + case["output_zero_point"]), case)]


def _reciprocal(case: Mapping[str, Any]) -> Codes:
    """The sum times 1 / n in 16 bits."""
    part = Fraction(half_even(Fraction(2**16, len(case["input"]))), 2**16)
    total = sum(x - case["input_zero_point"] for x in case["input"])
    ratio = Fraction(case["input_scale"]) / Fraction(case["output_scale"])
    return [clamped(half_even(total * part * ratio + case["output_zero_point"]), case)]


FAULTS: Mapping[str, tuple[str, Callable[[Case], Codes]]] = {
    "half up": ("ties go to the larger code", lambda c: _mean(c, lambda m, z: half_up(m + z))),
    "half away": ("ties go away from zero", lambda c: _mean(c, lambda m, z: half_away(m) + z)),
    "truncated": ("an integer division in C", lambda c: _mean(c, lambda m, z: math.trunc(m) + z)),
    "rounded down": ("a shift", lambda c: _mean(c, lambda m, z: math.floor(m) + z)),
    "mean of codes truncated": ("then rescaled", lambda c: _mean_of_codes(c, math.trunc)),
    "mean of codes rounded": ("rounded twice", lambda c: _mean_of_codes(c, half_even)),
    "reciprocal of 16 bits": ("1 / n in 16 bits", _reciprocal),
    "one too few": (
        "divided by n - 1",
        lambda c: _mean(c, lambda m, z: half_even(m + z), max(1, len(c["input"]) - 1)),
    ),
    "zero point after rounding": ("ties with an odd zero point", after_rounding),
}


def draw(rng: random.Random, _fault: str) -> Case:
    """One case: windows of all sorts of sizes."""
    scale = 2.0 ** rng.randint(-5, 0)
    count = rng.choice((2, 3, 4, 6, 7, 9, 16, 49))
    return {
        "input": [rng.choice((-128, 127, rng.randint(-128, 127))) for _ in range(count)],
        "input_scale": scale,
        "input_zero_point": rng.choice((0, rng.randint(-128, 127))),
        "output_scale": rng.choice((scale, scale / 2, scale * 2, binary32(scale * 1.1))),
        "output_zero_point": rng.choice((0, rng.randint(-128, 127))),
        "lo": -128,
        "hi": 127,
    }
