"""N6: a binary32 number to a code, with Brevitas' two roundings before the last."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
import torch

from ares.numerics import FloatStep, FloatStepKind, quantize_f32
from tests.numerics.oracle import S8, U8, clamp, from_bits, quantize_binary32, to_binary32, to_bits
from tests.numerics.vector_files import cases

EPS = Fraction(1, 2**15)  # derived in ares/ops/quantize.py


def _floats(patterns: list[int]) -> np.ndarray:
    return np.array(patterns, np.uint32).view(np.float32)


def test_vectors() -> None:
    for (scale, zero_point, lo, hi), lines in cases("quantize_f32.txt"):
        steps = []
        for word, line in lines:
            if word == "step":
                kind, inner, *constants = line
                steps.append(FloatStep(kind, _floats(constants), inner))
                continue
            x = _floats(line[::2])
            for step in steps:
                x = step.apply(x)
            found = quantize_f32(x, float(from_bits(scale)), zero_point, lo, hi)
            assert found.tolist() == line[1::2], (steps, line)


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


def _image() -> np.ndarray:
    """[1, 3, 5, 7] of what an input may be: bytes, fractions, huge, tiny, infinite, NaN, both zeros."""
    draw = random.Random(21)
    special = [np.inf, -np.inf, np.nan, 0.0, -0.0, 3.4e38, -3.4e38, 1e-38, 2.0**24 + 2]
    values = special + [float(n) for n in range(0, 256, 5)]
    values += [draw.uniform(-3, 3) for _ in range(105 - len(values))]
    return np.array(values, np.float32).reshape(1, 3, 5, 7)


ARITHMETIC = {
    "add": lambda x, c: x + c,
    "sub": lambda x, c: x - c,
    "rsub": lambda x, c: c - x,
    "mul": lambda x, c: x * c,
    "div": lambda x, c: x / c,
}


@pytest.mark.parametrize("kind", ARITHMETIC)
def test_steps_are_those_of_torch(kind: str) -> None:
    """The very binary32 number that the model has, for Python numbers, a constant a channel, a column, an element."""
    x = _image()
    draw = np.random.Generator(np.random.Philox(key=3))
    shapes = {(): 105, (1, 3, 1, 1): 35, (3, 1, 1): 35, (7,): 1, (5, 1): 7, (1, 3, 5, 7): 1}
    for constant in (255, 0.1, -0.485, 1e-30, 3e38):
        step = FloatStep(FloatStepKind[kind.upper()], np.array([constant], np.float32), 105)
        expected = ARITHMETIC[kind](torch.from_numpy(x), constant).numpy()
        np.testing.assert_array_equal(step.apply(x), expected, strict=True)
    for shape, inner in shapes.items():
        constants = np.asarray(draw.standard_normal(shape) * 10, np.float32)
        step = FloatStep(FloatStepKind[kind.upper()], constants.reshape(-1), inner)
        expected = ARITHMETIC[kind](torch.from_numpy(x), torch.from_numpy(constants)).numpy()
        np.testing.assert_array_equal(step.apply(x), expected, strict=True)


def test_steps_in_a_row_are_those_of_torch() -> None:
    """A normalised image: three roundings in the model's order, and no two of them in one."""
    mean, deviation = (
        (np.array(v, np.float32)) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    x = _image()
    steps = (
        FloatStep(FloatStepKind.DIV, np.array([255], np.float32), 105),
        FloatStep(FloatStepKind.SUB, mean, 35),
        FloatStep(FloatStepKind.DIV, deviation, 35),
    )
    found = x
    for step in steps:
        found = step.apply(found)
    by_channel = [torch.from_numpy(v).reshape(3, 1, 1) for v in (mean, deviation)]
    expected = (torch.from_numpy(x) / 255 - by_channel[0]) / by_channel[1]
    np.testing.assert_array_equal(found, expected.numpy(), strict=True)


def test_the_sign_is_a_whole_constant() -> None:
    """Zeros are positive, NaN is not: `x >= 0`, as Brevitas has it."""
    x = np.array([0.0, -0.0, 1e-45, -1e-45, np.inf, -np.inf, np.nan], np.float32)
    step = FloatStep(FloatStepKind.SIGN, np.array([0.25], np.float32), 7)
    assert step.apply(x).tolist() == [0.25, 0.25, 0.25, -0.25, 0.25, -0.25, -0.25]
