"""N16 against a DFT of 60 digits: tables, sums, and codes of magnitudes and phases at every length that matters."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest

from ares.nn.leaves import spectrum
from ares.numerics import NumericsError
from ares.numerics.dft import dft_sums, dft_tables, plan_magnitude, plan_phase
from tests.numerics import dft_oracle as oracle

getcontext().prec = oracle.DIGITS
LENGTHS = (2, 3, 4, 5, 7, 16, 40, 50, 97, 256, 1024)


def test_the_oracle_knows_its_circle() -> None:
    assert abs(
        oracle.PI - Decimal("3.14159265358979323846264338327950288419716939937510")
    ) < Decimal("1e-49")
    for numerator, denominator in ((1, 7), (5, 97), (1, 3), (1000, 1024), (3, 8)):
        c, s = oracle.circle(Fraction(numerator, denominator))
        assert abs(c * c + s * s - 1) < Decimal("1e-50")
        assert abs(float(c) - math.cos(2 * math.pi * numerator / denominator)) < 1e-15
        angle = oracle.angle(s, c)
        assert abs(float(angle) - math.atan2(float(s), float(c))) < 1e-15


def test_tables_are_the_nearest_integers() -> None:
    for length in range(2, 1025):
        cosine, sine = (table.astype(np.int64) for table in dft_tables(length))
        j = np.arange(length)
        mirror = -j % length
        assert (cosine[mirror] == cosine).all()
        assert (sine[mirror] == -sine).all()
        if length % 2 == 0:
            opposite = (j + length // 2) % length
            assert (cosine[opposite] == -cosine).all()
            assert (sine[opposite] == -sine).all()
        # The leaf writes its own tables: the witness must mean the same numbers.
        for mine, theirs in ((cosine, spectrum._cosine_table), (sine, spectrum._sine_table)):
            assert (mine / 2**30 == theirs(length).numpy()).all()
        # 60 digits for all of them take minutes: the primes and a sample of the others.
        if length in LENGTHS or length % 101 == 0:
            for index in range(length):
                c, s = oracle.circle(Fraction(index, length))
                assert cosine[index] == oracle.nearest(c * 2**30)
                assert sine[index] == oracle.nearest(s * 2**30)


@pytest.mark.parametrize("length", LENGTHS)
def test_sums_are_exact_and_near_the_ideal(length: int) -> None:
    cosine, sine = dft_tables(length)
    draw = np.random.Generator(np.random.PCG64(length))
    rows = draw.integers(-255, 256, (3, length))
    rows[0] = 255  # the largest sum
    rows[1] = np.where(np.arange(length) % 2, -255, 255)
    re, im = dft_sums(rows, cosine, sine)
    worst = 0.0
    bins = range(length // 2 + 1) if length < 200 else (0, 1, 2, length // 3, length // 2)
    for r, row in enumerate(rows):
        for k in bins:
            turns = [n * k % length for n in range(length)]
            assert re[r, k] == sum(int(x) * int(cosine[t]) for x, t in zip(row, turns, strict=True))
            assert im[r, k] == -sum(int(x) * int(sine[t]) for x, t in zip(row, turns, strict=True))
            ideal = oracle.bin_of(row, k)
            for found, part in zip((re[r, k], im[r, k]), ideal, strict=True):
                worst = max(worst, abs(float(Decimal(int(found)) / 2**30 - part)))
    assert worst <= 255 * length * 2.0**-31 < 2.0**-12


def test_limits_are_refused() -> None:
    for length in (1, 1025):
        with pytest.raises(NumericsError, match="expected 2 to 1024"):
            dft_tables(length)
    plan_magnitude(Fraction(512), 0, 127)
    with pytest.raises(NumericsError, match="at most 512"):
        plan_magnitude(Fraction(513), 0, 127)
    plan_phase(2.0**-8, 0, -128, 127)
    with pytest.raises(NumericsError, match="2\\^-8"):
        plan_phase(0.0039, 0, -128, 127)


def test_huge_scales_leave_steps_out_of_reach() -> None:
    """A magnitude scale of 2^40 input codes: every threshold is beyond int64's comfort, none is passed."""
    thresholds = plan_magnitude(Fraction(1, 2**40), 0, 127)
    assert thresholds.max() == 2**62
    plan = plan_phase(4.0, 0, -128, 127)
    assert [plan.first, plan.below, len(plan.directions)] == [-1, 1, 2]
