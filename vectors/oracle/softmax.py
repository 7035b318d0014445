"""Probabilities of a row of scores: out = clamp(round(e^((x - max) * s_in) / sum of all / s_out + z_out))."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from vectors.oracle import reals
from vectors.oracle.rounding import binary32, clamped, half_even, half_up

Case = dict[str, Any]
Codes = list[int]


def softmax(
    case: Mapping[str, Any],
    rounds: Callable[[Fraction], int] = half_even,
    power: Callable[[Fraction], Fraction] = reals.exp,
    summed: Callable[[list[Fraction]], Fraction] = lambda powers: sum(powers, Fraction(0)),
) -> Codes:
    """The code of each score's probability."""
    scale, out = Fraction(case["input_scale"]), Fraction(case["output_scale"])
    top = max(case["input"])
    powers = [power((code - top) * scale) for code in case["input"]]
    total = summed(powers)
    return [
        clamped(rounds(each / total / out + case["output_zero_point"]), case) for each in powers
    ]


def _bits(count: int) -> Callable[[Fraction], Fraction]:
    """The exponential in so many bits behind the point."""
    return lambda x: Fraction(half_even(reals.exp(x) * 2**count), 2**count)


def _base_two(x: Fraction) -> Fraction:
    """2 to the x / ln 2, with the fraction taken to be linear."""
    turns = x * Fraction(1442695, 10**6)
    whole = math.floor(turns)
    return (1 + (turns - whole)) * Fraction(2) ** whole


def _reciprocal(powers: list[Fraction]) -> Fraction:
    """1 over the sum in 8 bits."""
    total = sum(powers, Fraction(0))
    return 1 / Fraction(max(1, half_even(2**8 / total)), 2**8)


def after_rounding(case: Mapping[str, Any]) -> Codes:
    """The zero point added to what is rounded, as ONNX says."""
    zero = case["output_zero_point"]
    return softmax(case, lambda real: half_even(real - zero) + zero)


FAULTS: Mapping[str, tuple[str, Callable[[Case], Codes]]] = {
    "half up": ("ties go to the larger code", lambda c: softmax(c, half_up)),
    "truncated": ("a cast to an integer", lambda c: softmax(c, math.trunc)),
    "exponential of 8 bits": ("a coarse table", lambda c: softmax(c, power=_bits(8))),
    "exponential of base two": ("a linear fraction", lambda c: softmax(c, power=_base_two)),
    "reciprocal of 8 bits": ("1 over the sum", lambda c: softmax(c, summed=_reciprocal)),
    "last score left out": (
        "of the sum",
        lambda c: softmax(c, summed=lambda powers: sum(powers[:-1], Fraction(0)) or Fraction(1)),
    ),
}


def draw(rng: random.Random, _fault: str) -> Case:
    """One case: a short row, at times with equal scores."""
    count = rng.choice((2, 3, 4, 7, 16))
    values = [rng.randint(-128, 127) for _ in range(count)]
    if rng.random() < 0.4:
        values = [rng.choice((0, -128, 127))] * count
    return {
        "input": values,
        "input_scale": rng.choice((1 / 16, 1 / 32, binary32(rng.uniform(0.005, 0.1)))),
        "output_scale": rng.choice((1 / 256, 1 / 256, 1 / 8, 1 / 2)),
        "output_zero_point": -128,
        "lo": -128,
        "hi": 127,
    }
