"""N18: bits cut off an accumulator, against Python's own integers and Brevitas' rounding functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import ceil, floor, trunc
from typing import Any

import numpy as np
import pytest
import torch
from brevitas.core.function_wrapper import CeilSte, FloorSte, RoundSte, RoundToZeroSte
from brevitas.core.function_wrapper.ops_ste import DPURoundSte

from ares.numerics import INT32_MAX, NumericsError, plan_truncation
from ares.numerics.truncation import ROUNDINGS
from tests.numerics.oracle import clamp, nearest


def _negative_ties_up(value: Fraction) -> int:
    return ceil(value) if value < 0 and value % 1 == Fraction(1, 2) else nearest(value)


WHOLE: Mapping[str, Callable[[Fraction], int]] = {
    "down": floor,
    "up": ceil,
    "half to even": nearest,
    "towards zero": trunc,
    "half to even, negative ties up": _negative_ties_up,
}
BREVITAS: Mapping[str, Any] = {
    "down": FloorSte,
    "up": CeilSte,
    "half to even": RoundSte,
    "towards zero": RoundToZeroSte,
    "half to even, negative ties up": DPURoundSte,
}
RANGES = ((-128, 127), (0, 255), (-1, 1))


def test_all_roundings_have_an_oracle() -> None:
    assert set(WHOLE) == set(ROUNDINGS)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_value(rounding: str) -> None:
    """All accumulators of a dense range, with clips on both sides, ties, both signs, and a zero point."""
    seen = {"low clip": 0, "high clip": 0, "tie": 0, "negative remainder": 0}
    for shift in (-3, 0, 1, 2, 5, 8):
        for addend in (0, 3, -7):
            for lo, hi in RANGES:
                bound = (max(-lo, hi) + 3) * 2 ** max(shift, 0) + 70
                bound = min(bound, 2500)
                accs = np.arange(-bound, bound + 1)
                exact = [Fraction(int(acc) + addend) / Fraction(2) ** shift for acc in accs]
                whole = [WHOLE[rounding](value) for value in exact]
                expected = [clamp(value, lo, hi) for value in whole]
                rescale = plan_truncation(rounding, shift, addend, lo, hi, bound)
                assert rescale.apply(accs).tolist() == expected, (shift, addend, lo, hi)
                seen["low clip"] += sum(value < lo for value in whole)
                seen["high clip"] += sum(value > hi for value in whole)
                seen["tie"] += sum(value.denominator == 2 for value in exact)
                seen["negative remainder"] += sum(
                    value < 0 and value.denominator > 1 for value in exact
                )
    assert min(seen.values()) > 1000, seen


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_largest_accumulators(rounding: str) -> None:
    """Exact at the ends of int32 and around every code of a shift that leaves eight bits of it."""
    for shift in (16, 23, 24):
        rescale = plan_truncation(rounding, shift, 5, -128, 127, INT32_MAX)
        ends = [-INT32_MAX, INT32_MAX, 0]
        edges = [
            code * 2**shift + half for code in range(-128, 128) for half in (0, 2 ** (shift - 1))
        ]
        near = [edge + step - 5 for edge in edges for step in (-1, 0, 1)]
        accs = [acc for acc in ends + near if abs(acc) <= INT32_MAX]
        expected = [clamp(WHOLE[rounding](Fraction(acc + 5, 2**shift)), -128, 127) for acc in accs]
        assert rescale.apply(np.array(accs)).tolist() == expected


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_the_oracle_is_brevitas(rounding: str) -> None:
    values = torch.arange(-70, 71, dtype=torch.float64) / 8
    found = BREVITAS[rounding]()(values)
    assert found.tolist() == [WHOLE[rounding](Fraction(float(value))) for value in values]


def test_out_of_range() -> None:
    with pytest.raises(NumericsError, match="int32 ends"):
        plan_truncation("down", 3, 0, -128, 127, INT32_MAX + 1)
