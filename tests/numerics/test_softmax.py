"""The constants of softmax (N13): each right to its last bit. The kernel's own test is `tests/ops/test_softmax.py`."""

from __future__ import annotations

from decimal import Context, Decimal
from fractions import Fraction

import pytest

from ares.numerics import NumericsError, exp_table, exp_tables, plan_reciprocal

EXACT = Context(prec=60)
HALF = Fraction(1, 2)


@pytest.mark.parametrize("scale", [2.0**-40, 1e-6, 1 / 16, 0.1, 3.0, 1e30])
def test_the_table_is_right_to_its_last_bit(scale: float) -> None:
    mantissas, exponents = exp_table(scale)
    assert (int(mantissas[0]), int(exponents[0])) == (2**31, 0)
    for k, (m, x) in enumerate(zip(mantissas.tolist(), exponents.tolist(), strict=True)):
        step = EXACT.multiply(k, Decimal(scale))
        real = Fraction(EXACT.exp(-step)) if step < 1000 else Fraction(0)
        if m == 0:
            assert real < Fraction(1, 2**63)
            continue
        assert 2**31 <= m < 2**32
        assert 0 <= x <= 63
        assert abs(m - real * 2 ** (31 + x)) <= HALF


@pytest.mark.parametrize(
    ("scale", "largest", "digits", "base"),
    [
        (Fraction(1, 2), 255, 1, 256),
        (Fraction(1, 2), 256, 1, 256),  # exp(-128) does not count
        (Fraction(1, 1000), 255, 1, 256),
        (Fraction(1, 1000), 256, 2, 256),
        (Fraction(1, 3000), 10**9, 3, 256),
        (Fraction(1, 10**12), 2**24 - 1, 3, 256),
        (Fraction(1, 10**12), 2**24, 3, 512),
        (Fraction(1, 10**12), 2**32 - 1, 3, 2048),
    ],
)
def test_a_table_for_every_digit(scale: Fraction, largest: int, digits: int, base: int) -> None:
    mantissas, exponents = exp_tables(scale, largest)
    assert mantissas.shape == exponents.shape == (digits, base)
    assert base**digits > min(largest, 44 / scale)
    step = EXACT.divide(Decimal(scale.numerator), Decimal(scale.denominator))
    for digit in range(digits):
        for k in (0, 1, 2, 57, 128, base - 1):
            m, x = int(mantissas[digit, k]), int(exponents[digit, k])
            negated = EXACT.multiply(step, Decimal(k * base**digit))
            real = Fraction(EXACT.exp(-negated)) if negated < 1000 else Fraction(0)
            assert abs(m - real * 2 ** (31 + x)) <= HALF or (m == 0 and real < Fraction(1, 2**63))


@pytest.mark.parametrize("scale", [2.0**-30, 1e-5, 1 / 255, 2.0**-8, 0.7, 1.0, 3.0, 2.0**30])
def test_the_reciprocal_is_right_to_its_last_bit(scale: float) -> None:
    numerator, exponent = plan_reciprocal(scale)
    assert 2**31 <= numerator < 2**32
    assert abs(numerator - 1 / Fraction(scale) / Fraction(2) ** exponent) <= HALF


def test_numbers_out_of_range_are_refused() -> None:
    for scale in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(NumericsError, match="scores have scale"):
            exp_table(scale)
    with pytest.raises(NumericsError, match="scores have scale"):
        exp_tables(Fraction(-1, 3), 5)
    for scale in (0.0, 2.0**-31, 2.0**31, float("nan")):
        with pytest.raises(NumericsError, match="probabilities have scale"):
            plan_reciprocal(scale)
