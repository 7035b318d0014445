"""N11: the inverse root, the planned constants, and how far the value before rounding is from the real one."""

from __future__ import annotations

import dataclasses
import math
import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ares.ir import DType, Tensor
from ares.numerics import FUNCTIONS, IDENTITY, NumericsError, Rescale, plan_norm
from ares.numerics.norms import LARGEST_COUNT, inverse_root, normalise, radicand_bound, root_bits
from tests.ops.norms import normalised

SPARE = 24  # bits of the value before rounding that are looked at


def _tensor(scale: float, dtype: str = "s8", zero_point: int = 0) -> Tensor:
    kind = DType(dtype)
    return Tensor("t", (1,), kind, scale, zero_point, kind.lo, kind.hi)


def test_inverse_root() -> None:
    """Within one part in 2**36, powers of four exact: at every size, its ends and around squares."""
    draw = random.Random(7)
    values = {1, 2, 3, 2**64 - 1, 2**63, 2**62 - 1, (2**32 - 1) ** 2, (2**32 - 1) ** 2 - 1}
    values |= {2**bits + draw.getrandbits(bits) for bits in range(1, 64) for _ in range(20)}
    for _ in range(300):
        root = draw.randrange(2, 2**32)
        values |= {root * root - 1, root * root, root * root + 1}
    for value in values:
        inverse, doublings = inverse_root(value)
        assert 2**36 <= inverse <= 2**37
        # R**2 * W / 2**(2 * (68 - k)) is 1: the error of R is half of that.
        square = Fraction(inverse**2 * value, 1) / 4 ** (68 - doublings)
        assert abs(square - 1) <= Fraction(1, 2**35)
    for power in range(32):
        inverse, doublings = inverse_root(4**power)
        assert inverse * 2**power == 2 ** (68 - doublings)


def _rows(kind: str, count: int, lo: int, hi: int) -> list[int]:
    draw = random.Random(count)
    middle = (lo + hi) // 2
    if kind == "random":
        return [draw.randint(lo, hi) for _ in range(count)]
    if kind == "one code off":
        return [middle] * (count - 1) + [middle + 1]
    if kind == "outlier":
        return [lo] * (count - 1) + [hi]
    if kind == "constant":
        return [middle] * count
    return [lo, hi] * (count // 2) + [hi] * (count % 2)


def _with_spare_bits(rescale: Rescale) -> Rescale:
    """The same with `SPARE` more bits after the point, and no clamp."""
    assert int(rescale.shift.min()) > SPARE
    return dataclasses.replace(
        rescale, shift=rescale.shift - SPARE, lo=-(2**62), hi=2**62, thresholds=np.zeros(0)
    )


GAINS = (1.0, -30.0, 300.0, -3e4, 3e6, 1e-3, 1e-9)


@pytest.mark.parametrize("count", [2, 3, 16, 127, 768, 4096])
@pytest.mark.parametrize("is_centred", [True, False])
@pytest.mark.parametrize(
    ("epsilon", "scale"), [(1e-5, 0.05), (1e-12, 10.0), (1e-3, 1e-3), (1e-5, 1e-6)]
)
def test_the_value_before_rounding(
    count: int, is_centred: bool, epsilon: float, scale: float
) -> None:
    """|v - r| <= (256 + |b|) * 2.4 * 2**-31 within the range of the codes, b: what beta is worth in codes."""
    worst = Fraction(0)
    for kind in ("random", "one code off", "outlier", "constant", "alternating"):
        source, target = _tensor(scale), _tensor(1.0)
        steps = _rows(kind, count, source.lo, source.hi)
        values = normalised(steps, Fraction(scale), Fraction(epsilon), is_centred)
        for gain in GAINS:
            # Betas that bring one element each near the middle of the codes, and small ones.
            near = [-gain * float(values[i]) + 0.37 * i for i in (0, count - 1)]
            for beta in (0.0, 17.5, *(b for b in near if abs(b) < 1e5)):
                constants = _plan([gain], [beta], epsilon, source, target, count, is_centred)
                shift, offset, rescale = constants
                steps_4d = np.array(steps, np.int64).reshape(1, 1, count, 1)
                spare = _with_spare_bits(rescale)
                found = normalise(steps_4d, is_centred, shift, offset, spare).ravel()
                limit = (256 + abs(Fraction(beta))) * Fraction(2.4) / 2**31
                for i in {0, 1, count // 2, count - 2, count - 1}:
                    real = Fraction(gain) * values[i] + Fraction(beta)
                    if abs(real) <= 256:
                        distance = abs(Fraction(int(found[i]), 2**SPARE) - real)
                        assert distance <= limit + Fraction(1, 2 ** (SPARE + 1))
                        worst = max(worst, distance / (256 + abs(Fraction(beta))))
    assert worst > 0


def _plan(gammas: Any, betas: Any, epsilon: float, *rest: Any) -> tuple[int, int, Rescale]:
    exact = [[Fraction(value) for value in values] for values in (gammas, betas)]
    return plan_norm(IDENTITY, *exact, Fraction(epsilon), *rest)


def test_constants_are_within_their_limits() -> None:
    draw = random.Random(11)
    for _ in range(300):
        count = draw.choice([1, 2, 3, 4, 15, 16, 17, 1000, 56320, LARGEST_COUNT])
        source = _tensor(10.0 ** draw.uniform(-5, 1), draw.choice(["s8", "u8"]))
        target = _tensor(10.0 ** draw.uniform(-5, 1))
        is_centred = draw.random() < 0.5
        gammas = [draw.gauss(0, 10.0 ** draw.uniform(-9, 6)) for _ in range(3)]
        betas = [draw.gauss(0, 10.0 ** draw.uniform(-9, 6)) for _ in range(3)]
        plan = _plan(gammas, betas, 1e-5, source, target, count, is_centred)
        shift, offset, rescale = plan
        assert shift % 2 == 0
        assert 0 <= shift <= 44
        assert offset >= 1
        assert radicand_bound(source, count, is_centred, shift, offset) < 2**63
        assert math.sqrt(count) < 2 ** root_bits(count)
        for gamma, multiplier in zip(gammas, rescale.multiplier, strict=True):
            assert int(multiplier) == 0 or (gamma < 0) == (multiplier < 0)
        assert int(np.abs(rescale.offset).max()) < 2**61
        # The largest total: sqrt(n) * |M| * 2**(30 - h) + |B|.
        wide = max(abs(int(m)) for m in rescale.multiplier) * 2**30 + 2**61
        assert wide < 2**62


def test_a_function_has_its_steps() -> None:
    """GELU after the layer: the code of every element is that of the real value."""
    source, target = _tensor(0.05), _tensor(3 / 127)
    values = [Fraction(1), Fraction(-3, 2)], [Fraction(1, 8), Fraction(-1)]
    constants = plan_norm(FUNCTIONS["gelu"], *values, Fraction(1e-5), source, target, 64, True)
    steps = _rows("random", 64, -128, 127)
    found = normalise(np.array(steps).reshape(1, 1, 2, 32), True, *constants).ravel()
    real = normalised(steps, Fraction(source.scale or 0), Fraction(1e-5), True)
    gammas, betas = ([float(v) for v in row] for row in values)
    for i, value in enumerate(real):
        x = gammas[i // 32] * float(value) + betas[i // 32]
        exact = 0.5 * x * math.erfc(-x * math.sqrt(0.5)) / float(target.scale or 1)
        assert abs(int(found[i]) - min(127.0, exact)) < 0.5 + 2.0**-18


def test_out_of_range_is_refused() -> None:
    source, target = _tensor(0.05), _tensor(1.0)
    with pytest.raises(NumericsError, match="eps of 1e-05 is too large beside"):
        _plan([1.0], [0.0], 1e-5, _tensor(1e-11), target, 4096, True)
    with pytest.raises(NumericsError, match="too large for 64 bits"):
        _plan([1.0], [1e19], 1e-5, source, target, 16, True)
    with pytest.raises(NumericsError, match="too large for 64 bits"):
        _plan([1e19], [0.0], 1e-5, source, target, 16, True)
    with pytest.raises(NumericsError, match="needs scales"):
        _plan([1.0], [0.0], 1e-5, dataclasses.replace(source, scale=None), target, 16, True)
