"""Clause N15: the selective scan, an exact recurrence in 61-bit fixed point.

    h_t = exp(-k_t * alpha) * h_(t-1) + k_t * b_t * x_t          k = dt - z, in 0..255
    y_t = sum over n of c_t[n] * h_t[n] + skip * x_t             then one rounding to a code

Codes without their zero points; `h` counts units of s_dt * s_B * s_x and `alpha` = s_dt * |A|, so the input term is
an integer. `h` is held times 2**fraction, exp(-k * alpha) times 2**62 as a product of powers of exp(-alpha).

Error (proof of `ScanPlan.error`): a power with k leaves is off by (k - 1/2) * 2**-62 at most, because all factors
are at most 1 and each product rounds by half a unit. One step then adds at most 2**-62 * K * H * 2**fraction + 1/2
to the error of `h` (none at k = 0, where the factor is exactly 1), and multiplies what was there by at most
r = exp(-alpha) + K * 2**-62: over T steps that is a factor of min(T, 1 / (1 - r)). C: `runtime/inc/wide.h`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ares.numerics.accumulate import INT32_MAX, NumericsError
from ares.numerics.rounding import IntArray

DECAY_BITS = 62
STATE_BITS = 61
# Of `wide_round`: a zero point of 8 bits stays below 2**60 at the largest.
MIN_WIDE_SHIFT, MAX_WIDE_SHIFT = 33, 84
_ONE = 2**DECAY_BITS
_LOW = np.uint64(0xFFFFFFFF)
# Enough for 2**-62 of a number up to 1, with nine digits to spare.
_DECIMAL = Context(prec=28)
_DECAYED = Decimal(64)  # exp(-64) < 2**-92 is zero here


@dataclass(frozen=True, slots=True)
class ScanRange:
    """What the inputs of a scan can be: steps, states, and the largest |code - zero point| of each."""

    steps: int
    states: int
    k: int
    b: int
    c: int
    x: int


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """Constants of one scan.

    slowest: largest exp(-alpha) * 2**62 of any state; fraction: h is held times 2**fraction; drop: bits that h
    loses before it is multiplied with c; skip: largest |skip| in units of the sum; multiplier, shift: from the
    sum to codes.
    """

    slowest: int
    fraction: int
    drop: int
    skip: int
    multiplier: int
    shift: int

    def largest_state(self, reach: ScanRange) -> Fraction:
        """H: bound of |h| in exact arithmetic. k / (1 - exp(-k * alpha)) ascends, so the largest k counts."""
        return _largest_state(self.slowest, reach)

    def state_error(self, reach: ScanRange) -> Fraction:
        """Bound of the error of h, in units of 2**-fraction."""
        step = Fraction(reach.k, _ONE) * self.largest_state(reach) * (1 << self.fraction)
        rate = Fraction(self.slowest + 1 + reach.k, _ONE)
        repeats = reach.steps if rate >= 1 else min(Fraction(reach.steps), 1 / (1 - rate))
        return repeats * (step + Fraction(1, 2))

    def state_bound(self, reach: ScanRange) -> Fraction:
        """Bound of |h| as it is held; at most 2**61."""
        return self.largest_state(reach) * (1 << self.fraction) + self.state_error(reach)

    def sum_bound(self, reach: ScanRange) -> Fraction:
        """Bound of |sum of c * h + skip * x| as it is held; at most 2**61."""
        state = self.state_bound(reach) / (1 << self.drop) + 1
        return reach.states * reach.c * state + self.skip * reach.x

    def error(self, reach: ScanRange) -> Fraction:
        """Proven bound of the error before the last rounding, in output codes, for codes that are not clamped."""
        state = self.state_error(reach) / (1 << self.drop) + Fraction(1, 2)
        total = reach.states * reach.c * state + Fraction(reach.x, 2)
        # The multiplier is off by half a unit: of the sum, or of the 256 codes that it can be worth.
        rounding = min(
            self.sum_bound(reach) / (2 << self.shift), Fraction(256, 2 * self.multiplier - 1)
        )
        return total * Fraction(self.multiplier + 1, 1 << self.shift) + rounding


def decay_factors(log_rate: npt.NDArray[np.float64], step: Fraction) -> IntArray:
    """exp(-step * exp(log_rate)) * 2**62, correctly rounded but for 2**-28 of a unit; any shape."""
    scale = _DECIMAL.divide(Decimal(step.numerator), Decimal(step.denominator))
    values, places = np.unique(log_rate, return_inverse=True)
    found = [_decay(float(value), scale) for value in values]
    return np.array(found, np.int64)[places].reshape(log_rate.shape)


def _decay(log_rate: float, scale: Decimal) -> int:
    alpha = _DECIMAL.multiply(scale, _DECIMAL.exp(Decimal(log_rate)))
    if alpha > _DECAYED:
        return 0
    return int(_DECIMAL.to_integral_value(_DECIMAL.multiply(_DECIMAL.exp(-alpha), Decimal(_ONE))))


def _largest_state(slowest: int, reach: ScanRange) -> Fraction:
    most = Fraction(reach.k * reach.b * reach.x)
    power = Fraction(slowest + 1, _ONE) ** reach.k
    return most * (reach.steps if power >= 1 else min(Fraction(reach.steps), 1 / (1 - power)))


def plan_scan(
    slowest: int, skips: list[Fraction], ratio: Fraction, reach: ScanRange
) -> tuple[list[int], ScanPlan]:
    """The skip of every channel as it is held, and the constants of a scan.

    `skips`: what x is multiplied with, in units of c * h; `ratio`: what one unit of c * h is worth in output
    codes. Raises NumericsError where 64 bits do not hold it.
    """
    fraction = next((f for f in range(60, 0, -1) if _state_fits(slowest, f, reach)), None)
    if fraction is None:
        raise NumericsError(
            f"its state could reach {float(_largest_state(slowest, reach)):.3g} units, 2^60 is the limit"
        )
    for drop in range(1, STATE_BITS):
        unit = Fraction(2) ** (drop - fraction)
        held = [round(skip / unit) for skip in skips]
        plan = ScanPlan(slowest, fraction, drop, max(map(abs, held)), 1, 1)
        bound = plan.sum_bound(reach)
        if bound <= 2**STATE_BITS:
            break
    else:
        raise NumericsError("its sum does not fit 64 bits: D is too large beside dt, B and C")
    for shift in range(MAX_WIDE_SHIFT, MIN_WIDE_SHIFT - 1, -1):
        multiplier = round(ratio * unit * 2**shift)
        if 1 <= multiplier <= INT32_MAX:
            return held, ScanPlan(slowest, fraction, drop, plan.skip, multiplier, shift)
    raise NumericsError(
        f"one unit of its sum is worth {float(ratio):.3g} codes, which 64 bits do not hold"
    )


def _state_fits(slowest: int, fraction: int, reach: ScanRange) -> bool:
    plan = ScanPlan(slowest, fraction, 1, 0, 1, 1)
    return plan.state_bound(reach) <= Fraction(2**STATE_BITS)


def multiply_q62(value: npt.NDArray[Any], factor: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """round(value * factor / 2**62), a tie upwards; uint64, both at most 2**62 (N15)."""
    high, low = value >> np.uint64(32), value & _LOW
    factor_high, factor_low = factor >> np.uint64(32), factor & _LOW
    middle = high * factor_low + low * factor_high + ((low * factor_low) >> np.uint64(32))
    rounded = ((high * factor_high) << np.uint64(2)) + (
        (middle + np.uint64(2**29)) >> np.uint64(30)
    )
    return np.asarray(rounded, np.uint64)


def power_tables(decay: IntArray) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Powers 0..15 and 0, 16, .. 240 of decay (times 2**62), as the kernel makes them: [16, ...] each."""
    low = _powers(decay.astype(np.uint64))
    return low, _powers(multiply_q62(low[15], low[1]))


def _powers(base: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    powers = [np.full_like(base, _ONE), base]
    while len(powers) < 16:
        powers.append(multiply_q62(powers[-1], base))
    return np.stack(powers)


def scale_q62(state: IntArray, factor: npt.NDArray[np.uint64]) -> IntArray:
    """round(state * factor / 2**62), a tie away from zero; |state| <= 2**62."""
    magnitude = multiply_q62(np.abs(state).astype(np.uint64), factor).astype(np.int64)
    return np.where(state < 0, -magnitude, magnitude)
