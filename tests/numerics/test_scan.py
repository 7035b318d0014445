"""Clause N15: wide products, powers and decay factors against Python's integers and decimals; the proof's bounds."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ares.numerics import ScanRange, decay_factors, plan_scan
from ares.numerics.rounding import wide_round
from ares.numerics.scan import (
    MAX_WIDE_SHIFT,
    MIN_WIDE_SHIFT,
    multiply_q62,
    power_tables,
    scale_q62,
)

ONE = 2**62
EDGES = (0, 1, 2**31, 2**32 - 1, 2**32, 2**61 - 1, 2**61, ONE - 1, ONE)
factors = st.one_of(st.sampled_from(EDGES), st.integers(0, ONE))


def _nearest(value: int, factor: int) -> int:
    """value * factor / 2**62, a tie upwards."""
    return (2 * value * factor + ONE) // (2 * ONE)


@given(factors, factors)
def test_products_of_124_bits(value: int, factor: int) -> None:
    found = multiply_q62(np.array([value], np.uint64), np.array([factor], np.uint64))
    assert int(found[0]) == _nearest(value, factor)


@given(factors, factors)
def test_states_are_rounded_alike_on_both_sides_of_zero(value: int, factor: int) -> None:
    both = np.array([value, -value], np.int64)
    found = scale_q62(both, np.array([factor, factor], np.uint64))
    assert found.tolist() == [_nearest(value, factor), -_nearest(value, factor)]


@given(
    st.integers(-(2**61), 2**61),
    st.integers(0, 2**31 - 1),
    st.integers(MIN_WIDE_SHIFT, MAX_WIDE_SHIFT),
    st.integers(-128, 255),
)
def test_the_last_rounding(value: int, multiplier: int, shift: int, addend: int) -> None:
    found = wide_round(np.array([value]), multiplier, shift, addend)
    assert int(found[0]) == round(Fraction(value * multiplier, 2**shift) + addend)


@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize("code", [-4, -3, 0, 3, 4])
@pytest.mark.parametrize("addend", [0, 5])
def test_a_tie_is_one_of_the_whole_product(code: int, addend: int, beside: int) -> None:
    """One unit beside a tie is lost by the upper 64 bits of the product."""
    value = (2 * code + 1) * 2**53 + beside
    found = wide_round(np.array([value]), 2**30, 84, addend)
    assert int(found[0]) == round(Fraction(value, 2**54) + addend)


@pytest.mark.parametrize("alpha", ["1e-12", "0.0001", "0.03", "0.7", "3", "43"])
def test_powers_are_off_by_less_than_their_exponent(alpha: str) -> None:
    with localcontext(Context(prec=50)):
        exact = [(-k * Decimal(alpha)).exp() * ONE for k in range(256)]
    low, high = power_tables(np.array([int(exact[1].to_integral_value())]))
    for k in range(256):
        found = int(multiply_q62(high[k // 16], low[k % 16])[0])
        assert abs(found - exact[k]) <= max(Decimal(0), k - Decimal("0.5"))
        assert found <= ONE


@pytest.mark.parametrize(
    "log_rate", [-30.0, -9.2, 0.0, 2.772588729858398, 7.6, 12.5, 88.0, 700.0, 1e4]
)
def test_decay_factors(log_rate: float) -> None:
    step = Fraction(0.1) / 255
    with localcontext(Context(prec=60)):
        rate = Decimal(log_rate).exp() * step.numerator / step.denominator
        exact = (-rate).exp() * ONE if rate < 1000 else Decimal(0)
    (found,) = decay_factors(np.array([log_rate]), step).tolist()
    assert abs(found - exact) < Decimal("0.5") + Decimal(2) ** -28


def test_decay_factors_keep_their_places() -> None:
    rates = np.array([[0.5, -1.0, 0.5], [2.0, -1.0, 0.0]])
    found = decay_factors(rates, Fraction(1, 64))
    assert found.shape == (2, 3)
    assert found[0, 0] == found[0, 2]
    assert found[0, 1] == found[1, 1]
    assert found[0, 1] > found[1, 2] > found[0, 0] > found[1, 0]


@pytest.mark.parametrize("slowest", [0, 2**55, ONE // 2, ONE - 2**50, ONE - 2**40, ONE])
def test_bounds_hold_for_the_worst_sequences(slowest: int) -> None:
    """|h| and its error, run exactly beside the integers, for constant k of every size."""
    reach = ScanRange(steps=40, states=2, k=255, b=128, c=127, x=255)
    _, plan = plan_scan(slowest, [Fraction(3)], Fraction(1, 10**6), reach)
    low, high = power_tables(np.array([slowest], np.int64))
    decay = Decimal(slowest) / ONE
    for k in (0, 1, 2, 17, 255):
        factor = multiply_q62(high[k // 16], low[k % 16])
        drive = k * 128 * 255
        held, real = np.zeros(1, np.int64), Decimal(0)
        with localcontext(Context(prec=50)):
            power = decay**k if k else Decimal(1)
            for _ in range(reach.steps):
                held = scale_q62(held, factor) + (drive << plan.fraction)
                real = power * real + drive
            error = abs(int(held[0]) - real * 2**plan.fraction)
        assert Fraction(real) <= plan.largest_state(reach)
        assert abs(int(held[0])) <= plan.state_bound(reach) <= 2**61
        assert Fraction(error) <= plan.state_error(reach)


def test_a_state_that_forgets_has_a_bound_without_its_length() -> None:
    short, long = (
        ScanRange(steps=steps, states=1, k=255, b=127, c=127, x=127) for steps in (10**3, 10**6)
    )
    _, plan = plan_scan(ONE - 2**55, [Fraction(0)], Fraction(1, 10**6), long)
    assert plan.largest_state(short) == plan.largest_state(long)
    _, keeping = plan_scan(ONE, [Fraction(0)], Fraction(1, 10**6), short)
    assert keeping.largest_state(short) == 1000 * 255 * 127 * 127
