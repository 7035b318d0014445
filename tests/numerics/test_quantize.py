"""N6: a binary32 number to a code, with Brevitas' two roundings before the last."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from ares.numerics import quantize_f32
from tests.numerics.oracle import S8, U8, clamp, from_bits, quantize_binary32, to_binary32, to_bits
from tests.numerics.vector_files import cases

EPS = Fraction(1, 2**15)  # derived in ares/ops/quantize.py


def _floats(patterns: list[int]) -> np.ndarray:
    return np.array(patterns, np.uint32).view(np.float32)


def test_vectors() -> None:
    for (scale, zero_point, lo, hi), lines in cases("quantize_f32.txt"):
        numbers = [number for _, line in lines for number in line]
        found = quantize_f32(_floats(numbers[::2]), float(from_bits(scale)), zero_point, lo, hi)
        assert found.tolist() == numbers[1::2]


@pytest.mark.parametrize(
    ("scale", "zero_point", "bounds"),
    [
        (2.7 / 255, 131, U8),
        (1 / 3, 0, S8),
        (0.017, 254, U8),
        (0.1, -77, S8),
        (1.1e-10, 1, U8),
        (3.3e7, 0, S8),
        (0.5, 127, S8),
    ],
)
def test_any_number_is_within_eps_of_the_real_quotient(
    scale: float, zero_point: int, bounds: tuple[int, int]
) -> None:
    """The scale is a float64, as the witness has it; quantize_f32 rounds it to binary32."""
    draw = random.Random(9)
    exact_scale = Fraction(scale)
    rounded_scale = to_binary32(exact_scale)
    assert isinstance(rounded_scale, Fraction)
    patterns = []
    for code in range(bounds[0] - 1, bounds[1] + 1):
        edge = to_binary32((code + Fraction(1, 2) - zero_point) * exact_scale)
        patterns += [abs(to_bits(edge) + draw.randrange(-40, 41)) for _ in range(12)]
        spread = to_binary32((code + Fraction(draw.randrange(2**24), 2**24)) * exact_scale)
        patterns.append(to_bits(spread))
    found = quantize_f32(_floats(patterns), scale, zero_point, *bounds)
    for bits, code in zip(patterns, found.tolist(), strict=True):
        x = from_bits(bits)
        assert isinstance(x, Fraction)
        real = min(max(x / exact_scale + zero_point, Fraction(bounds[0])), Fraction(bounds[1]))
        assert abs(code - real) <= Fraction(1, 2) + EPS
        assert code == quantize_binary32(bits, rounded_scale, zero_point, *bounds)


def test_zero_point_is_added_before_rounding() -> None:
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    assert quantize_f32(halves, 1.0, 1, *S8).tolist() == [-2, 0, 0, 2, 2, 4]
    assert quantize_f32(halves, 1.0, 0, *S8).tolist() == [-2, -2, 0, 0, 2, 2]


def test_what_is_no_number() -> None:
    values = np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 3.4e38, -3.4e38], np.float32)
    found = quantize_f32(values, 0.1, 3, -7, 6)
    assert found.tolist() == [3, 3, 6, -7, 3, 6, -7]
    assert all(clamp(code, -7, 6) == code for code in found.tolist())


def test_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="float64"):
        quantize_f32(np.zeros(1), 1.0, 0, *S8)
