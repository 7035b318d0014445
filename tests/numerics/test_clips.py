"""N4: what only limits its argument is a pair of codes, wherever the limits lie; N8 where it is a table."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from ares.ir import DType, Tensor
from ares.numerics import (
    IDENTITY,
    RELU,
    Function,
    clip,
    code_limits,
    compose,
    lookup_table,
    plan_function,
)
from tests.numerics import oracle

Limit = Fraction | None
TARGETS = (
    Tensor("y", (1,), DType.S8, 0.25, 0, -128, 127),
    Tensor("y", (1,), DType.U8, 0.3, 131, 0, 255),
    Tensor("y", (1,), DType.S8, 1.5, -3, -8, 7),
    Tensor("y", (1,), DType.U8, 2.0**-6, 0, 0, 15),
)
TINY = Fraction(1, 2**70)


def _limits(target: Tensor) -> list[Limit]:
    """No limit; limits on codes, on ties to either side, a hair beside ties, and beyond all codes."""
    assert target.scale is not None
    scale = Fraction(target.scale)
    codes = target.lo - 9, target.lo, target.zero_point, (target.lo + target.hi) // 2
    parts = Fraction(0), Fraction(1, 2), Fraction(3, 2), Fraction(1, 3)
    found: list[Limit] = [None]
    found += [(c + part - target.zero_point) * scale for c in codes for part in parts]
    found += [x + d for x in found[2:14:3] if x is not None for d in (TINY, -TINY)]
    found.append((target.hi + 40 - target.zero_point) * scale)
    return found


def _pairs(target: Tensor) -> list[tuple[Limit, Limit]]:
    limits = _limits(target)
    return [
        (lo, hi)
        for lo, hi in itertools.product(limits, limits)
        if lo is None or hi is None or lo <= hi
    ]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.dtype.value} {t.scale}")
def test_limits_are_those_of_the_clipped_values(target: Tensor) -> None:
    """The codes of the limits themselves, as rounding keeps order, and the type's where there is none."""
    assert target.scale is not None
    scale = Fraction(target.scale)
    far = 10**6 * scale
    for lo, hi in _pairs(target):
        wanted = [
            oracle.quantize(oracle.clip(x, lo, hi), scale, target.zero_point, target.lo, target.hi)
            for x in (-far, far)
        ]
        assert list(code_limits(clip(lo, hi), target)) == wanted, (lo, hi)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.dtype.value} {t.scale}")
def test_every_code_of_a_table_and_of_a_rescale(target: Tensor) -> None:
    """Clip, then quantise: exact rationals, ties and all, for each of 256 codes, with a factor and an addend."""
    assert target.scale is not None
    source = Tensor("x", (1,), DType.S8, 0.125, 5, -128, 127)
    scale = Fraction(target.scale)
    ties = 0
    for number, (lo, hi) in enumerate(_pairs(target)[:: 7 if target is TARGETS[0] else 23]):
        factor = Fraction((-1) ** number * (number % 5), 2)
        addend = Fraction(number % 7 - 3, 16) * 4 * scale
        function = clip(lo, hi)
        reals = [
            oracle.clip(step * Fraction(1, 8) * factor + addend, lo, hi)
            for step in range(-133, 123)
        ]
        bounds = target.zero_point, target.lo, target.hi
        expected = [oracle.quantize(real, scale, *bounds) for real in reals]
        ties += sum(
            (2 * real / scale).denominator == 1 != (real / scale).denominator for real in reals
        )
        codes = np.arange(-128, 128)
        table = lookup_table(function, source, target, factor, addend).view(target.dtype.numpy)
        assert table[codes & 0xFF].tolist() == expected, (lo, hi, factor, addend)
        if (factor / scale).denominator & ((factor / scale).denominator - 1):
            continue  # ties of a scale that is no binary fraction: N3 says which are kept
        rescale = plan_function(function, [factor / 8], [addend], target, 133)
        assert rescale.apply(codes - 5).tolist() == expected, (lo, hi, factor, addend)
    assert ties > 100 or scale.denominator > 2**20


def test_a_limit_for_all_channels_costs_no_table() -> None:
    """Ratios of both signs and zero, one limit beside the zero point, the other beyond the codes."""
    target = TARGETS[2]
    ratios, biases = [Fraction(-3, 4), Fraction(0), Fraction(9, 8)], [Fraction(1), Fraction(4)]
    biases.append(Fraction(-3, 4))
    function = clip(Fraction(9, 4), Fraction(100))
    rescale = plan_function(function, ratios, biases, target, 30)
    assert rescale.thresholds.size == 0
    # 9/4 is one and a half codes above the zero point: the tie goes to the even code.
    assert (rescale.lo, rescale.hi) == (-2, 7)
    for acc in range(-30, 31):
        reals = [
            oracle.clip(acc * r + b, Fraction(9, 4), None)
            for r, b in zip(ratios, biases, strict=True)
        ]
        expected = [oracle.quantize(real, Fraction(3, 2), -3, -8, 7) for real in reals]
        assert rescale.apply(np.full((1, 3), acc))[0].tolist() == expected


ENDS: tuple[Limit, ...] = (None, Fraction(-5), Fraction(0), Fraction(1, 3), Fraction(5))


def _chosen() -> list[tuple[Limit, Limit]]:
    return [(a, b) for a, b in itertools.product(ENDS, ENDS) if a is None or b is None or a <= b]


def test_clips_compose_to_clips() -> None:
    """Of any two, also where one makes the other constant; at every end and on both sides of it."""
    points = [Fraction(n, 6) for n in range(-40, 41)] + [Fraction(-(10**9)), Fraction(10**9)]
    for inner, outer in itertools.product(_chosen(), _chosen()):
        function = compose(clip(*inner), clip(*outer))
        assert function.clips is not None
        lo, hi = function.clips
        assert lo is None or hi is None or lo <= hi
        for x in points:
            step_by_step = oracle.clip(oracle.clip(x, *inner), *outer)
            assert oracle.clip(x, lo, hi) == step_by_step, (inner, outer, x)
        reals = np.array([float(x) for x in points])
        expected = [float(oracle.clip(oracle.clip(Fraction(x), *inner), *outer)) for x in reals]
        assert function.evaluate(reals).tolist() == expected


def test_what_limits_nothing_is_the_identity() -> None:
    assert clip(None, None) is IDENTITY
    assert clip(Fraction(0), None) is RELU
    six = clip(Fraction(0), Fraction(6))
    assert compose(RELU, six).clips == compose(six, RELU).clips == six.clips
    assert compose(IDENTITY, six) is six
    functions: list[Function] = [IDENTITY, RELU, six, clip(Fraction(7), Fraction(7))]
    assert all(function.is_non_decreasing for function in functions)
